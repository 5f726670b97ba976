from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.errors import InvalidSettings
from layby.bus.settings import without_credentials


class Home:
    """A home folder with contexts of the nats CLI in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path / ".config" / "nats"
        (self.folder / "context").mkdir(parents=True)

    def context(self, name: str, **fields: Any) -> Path:
        path = self.folder / "context" / f"{name}.json"
        path.write_text(json.dumps(fields))
        return path

    def select(self, name: str) -> None:
        (self.folder / "context.txt").write_text(f"{name}\n")

    def load(
        self, server: str | None = None, context: str | None = None, **environ: str
    ) -> ConnectionSettings:
        return ConnectionSettings.load(server, context, environ=environ, home=self.path)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_nothing_set_means_a_server_of_our_own(tmp_path: Path) -> None:
    settings = ConnectionSettings.load(environ={"NATS_URL": ""}, home=tmp_path)
    assert not settings.is_configured
    assert settings.servers == ()
    assert settings.shown == "(none)"


def test_precedence(home: Home) -> None:
    home.context("prod", url="nats://selected:1")
    home.context("stage", url="nats://named:2")
    assert not home.load().is_configured
    home.select("prod")
    assert home.load().servers == ("nats://selected:1",)
    assert home.load().source == 'context "prod"'
    assert home.load(NATS_CONTEXT="stage").servers == ("nats://named:2",)
    assert home.load(context="stage", NATS_CONTEXT="prod").servers == ("nats://named:2",)
    found = home.load(context="stage", NATS_URL="nats://env:3")
    assert (found.servers, found.source) == (("nats://env:3",), "NATS_URL")
    found = home.load("nats://flag:4,nats://flag:5", context="stage", NATS_URL="nats://env:3")
    assert found.servers == ("nats://flag:4", "nats://flag:5")
    assert found.source == "--server"


def test_every_variable_is_read(home: Home) -> None:
    settings = home.load(
        NATS_URL="nats://a:1, b:2",
        NATS_USER="me",
        NATS_PASSWORD="secret",  # noqa: S106
        NATS_CERT="c.pem",
        NATS_KEY="k.pem",
        NATS_CA="ca.pem",
        NATS_TIMEOUT="1m30s",
    )
    assert settings == ConnectionSettings(
        servers=("nats://a:1", "b:2"),
        user="me",
        password="secret",  # noqa: S106
        cert="c.pem",
        key="k.pem",
        ca="ca.pem",
        timeout=90.0,
        source="NATS_URL",
    )
    assert home.load(NATS_CREDS="x.creds").creds == "x.creds"
    assert home.load(NATS_NKEY="x.nk").nkey == "x.nk"
    assert home.load(NATS_TOKEN="t").token == "t"  # noqa: S105, S106
    assert home.load(NATS_CREDS="x.creds").servers == ("nats://127.0.0.1:4222",)


def test_a_user_without_a_password_is_a_token(home: Home) -> None:
    settings = home.load(NATS_URL="a", NATS_USER="t0ken")
    assert (settings.user, settings.token) == (None, "t0ken")


def test_every_field_of_a_context_is_read(home: Home) -> None:
    home.context(
        "all",
        description="about",
        color_scheme="",
        url="tls://a:1,tls://b:2",
        token="",
        creds="~/x/$WHO.creds",
        nkey="",
        cert="file:///c.pem",
        key="${KEYS}/k.pem",
        ca="/ca.pem",
        nsc="",
        socks_proxy="",
        inbox_prefix="_INBOX_me",
        tls_first=True,
        windows_ca_certs_match=None,
    )
    assert home.load(context="all", WHO="me", KEYS="/keys") == ConnectionSettings(
        servers=("tls://a:1", "tls://b:2"),
        creds=f"{home.path}/x/me.creds",
        cert="/c.pem",
        key="/keys/k.pem",
        ca="/ca.pem",
        inbox_prefix="_INBOX_me",
        tls_first=True,
        source='context "all"',
    )


def test_a_context_without_a_url_is_local(home: Home) -> None:
    home.context("plain", description="x")
    assert home.load(context="plain").servers == ("nats://127.0.0.1:4222",)


def test_a_context_by_the_path_of_its_file(home: Home) -> None:
    path = home.context("x", url="nats://there:1")
    assert home.load(context=str(path)).servers == ("nats://there:1",)


def test_a_login_is_replaced_as_a_whole(home: Home) -> None:
    home.context("prod", url="nats://prod:1", user="me", password="old")  # noqa: S106
    by_creds = home.load(context="prod", NATS_CREDS="x.creds")
    assert (by_creds.user, by_creds.password, by_creds.creds) == (None, None, "x.creds")
    by_password = home.load(context="prod", NATS_PASSWORD="new")  # noqa: S106
    assert (by_password.user, by_password.password) == ("me", "new")
    home.context("tls", url="nats://prod:1", cert="old", key="old")
    with pytest.raises(InvalidSettings, match="go together"):
        home.load(context="tls", NATS_CERT="new")


@pytest.mark.parametrize("variable", ["NATS_CONFIG_HOME", "XDG_CONFIG_HOME"])
def test_where_contexts_are_kept(home: Home, variable: str) -> None:
    home.context("c", url="nats://there:1")
    home.select("c")
    folder = home.folder if variable == "NATS_CONFIG_HOME" else home.folder.parent
    found = ConnectionSettings.load(environ={variable: str(folder)}, home=Path("/nowhere"))
    assert found.servers == ("nats://there:1",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nsc", "nsc://o/a/u"),
        ("socks_proxy", "socks5://x"),
        ("jetstream_domain", "hub"),
        ("jetstream_api_prefix", "x"),
        ("jetstream_event_prefix", "x"),
        ("user_jwt", "x"),
        ("user_seed", "x"),
        ("windows_cert_store", "user"),
        ("something_new", 1),
    ],
)
def test_no_field_is_ignored(home: Home, field: str, value: object) -> None:
    path = home.context("odd", url="nats://a", **{field: value})
    with pytest.raises(InvalidSettings, match=f"{path} sets '{field}', which Layby does not"):
        home.load(context="odd")


@pytest.mark.parametrize("reference", ["op://vault/x", "nsc://o/a/u", "env://X", "data:;base64,x"])
@pytest.mark.parametrize("field", ["creds", "nkey", "password", "token", "ca"])
def test_secret_stores_are_refused(home: Home, field: str, reference: str) -> None:
    home.context("odd", url="nats://a", **{"user": "me", field: reference})
    with pytest.raises(InvalidSettings, match=f"'{field}' is looked up with"):
        home.load(context="odd")


@pytest.mark.parametrize(("field", "value"), [("url", 7), ("tls_first", "yes"), ("creds", ["x"])])
def test_wrong_types(home: Home, field: str, value: object) -> None:
    home.context("odd", **{field: value})
    with pytest.raises(InvalidSettings, match=f"odd.json: '{field}' must be"):
        home.load(context="odd")


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'"a b"', b'{"password": a b}'])
def test_broken_files(home: Home, content: bytes) -> None:
    home.context("odd").write_bytes(content)
    with pytest.raises(InvalidSettings, match=r"odd\.json is not a JSON object") as caught:
        home.load(context="odd")
    assert "a b" not in str(caught.value)


def test_a_context_that_is_not_there(home: Home) -> None:
    home.select("gone")
    with pytest.raises(InvalidSettings, match=r"no context 'gone': .*nats context unselect"):
        home.load()


def test_unreadable_files(home: Home) -> None:
    (home.folder / "context" / "folder.json").mkdir()
    with pytest.raises(InvalidSettings, match=r"Cannot read .*folder.json: Is a directory"):
        home.load(context="folder")
    (home.folder / "context.txt").mkdir()
    with pytest.raises(InvalidSettings, match=r"Cannot read .*context.txt"):
        home.load()


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "none.json/../x"])
def test_names_that_are_paths(home: Home, name: str) -> None:
    with pytest.raises(InvalidSettings, match="not the name of a context"):
        home.load(context=name)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"NATS_URL": "http://a:1"}, "not the URL"),
        ({"NATS_URL": "ws://a:1"}, "not the URL"),
        ({"NATS_URL": "nats://a:port"}, "not the URL"),
        ({"NATS_URL": "nats://a:99999"}, "not the URL"),
        ({"NATS_URL": "nats://a:0"}, "not the URL"),
        ({"NATS_URL": "nats://"}, "not the URL"),
        ({"NATS_URL": "a,,b"}, "not the URL"),
        ({"NATS_URL": "nats://a b"}, "not the URL"),
        ({"NATS_URL": "nats://a/path"}, "not the URL"),
        ({"NATS_URL": "nats://[a"}, "not the URL"),
        ({"NATS_CERT": "c.pem"}, "go together"),
        ({"NATS_USER": "me", "NATS_PASSWORD": "x", "NATS_NKEY": "n"}, "exclude each other"),
        ({"NATS_PASSWORD": "x"}, "no user"),
        ({"NATS_TIMEOUT": "5"}, "NATS_TIMEOUT: .*does not say its unit"),
        ({"NATS_JWT": "x"}, "NATS_JWT is set, .*NATS_CREDS"),
        ({"NATS_SOCKS_PROXY": "x"}, "NATS_SOCKS_PROXY is set"),
    ],
)
def test_what_cannot_work(home: Home, environ: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidSettings, match=says):
        home.load(**environ)


def test_no_secret_is_shown() -> None:
    settings = ConnectionSettings(
        servers=("nats://u:hush@a:1", "tls://hush@b:2", "u:hu@sh@c"),
        user="me",
        password="hush",  # noqa: S106
        token="hush",  # noqa: S106
        source="NATS_URL",
    )
    assert settings.shown == "nats://a:1, tls://b:2, c"
    assert "hu" not in repr(settings)
    assert settings.login == 'user "me"'
    with pytest.raises(InvalidSettings, match=r"'nats://a:x' .by NATS_URL. is not") as caught:
        ConnectionSettings(servers=("nats://u:hush@a:x",), source="NATS_URL")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "login"),
    [
        ({}, "none"),
        ({"creds": "x.creds"}, "creds x.creds"),
        ({"nkey": "x.nk"}, "nkey x.nk"),
        ({"token": "hush"}, "token"),
        ({"servers": ("nats://u:hush@a",)}, "in the URL"),
    ],
)
def test_how_we_log_in(fields: dict[str, Any], login: str) -> None:
    assert ConnectionSettings(**fields).login == login


@pytest.mark.parametrize(
    ("url", "shown"),
    [("nats://a", "nats://a"), ("a:1", "a:1"), ("nats://u:p/w@a", "nats://a"), ("t@a", "a")],
)
def test_urls_without_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_tls_files(tmp_path: Path) -> None:
    assert ConnectionSettings(servers=("nats://a",)).tls_context() is None
    assert ConnectionSettings(servers=("tls://a",)).tls_context() is not None
    with pytest.raises(InvalidSettings, match=r"Cannot read the TLS file /nowhere/ca.pem: No"):
        ConnectionSettings(ca="/nowhere/ca.pem").tls_context()
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(InvalidSettings, match="TLS files do not fit"):
        ConnectionSettings(ca=str(tmp_path / "ca.pem")).tls_context()


def test_the_inbox_prefix_comes_from_the_flag_the_environment_or_the_context(home: Home) -> None:
    home.context("mine", url="nats://a:1", inbox_prefix="_INBOX_context")
    assert home.load(context="mine").inbox_prefix == "_INBOX_context"
    assert home.load(context="mine", NATS_INBOX_PREFIX="_INBOX_env").inbox_prefix == "_INBOX_env"
    found = ConnectionSettings.load(
        inbox_prefix="_INBOX_flag", environ={"NATS_INBOX_PREFIX": "_INBOX_env"}, home=home.path
    )
    assert found.inbox_prefix == "_INBOX_flag"
    assert not found.is_configured, "a prefix names no server"


@pytest.mark.parametrize("prefix", ["a.*", ">", "a b", "a..b"])
def test_an_inbox_prefix_that_cannot_be_one_is_refused(home: Home, prefix: str) -> None:
    with pytest.raises(InvalidSettings, match="cannot be an inbox prefix"):
        home.load("nats://a:1", NATS_INBOX_PREFIX=prefix)


def test_the_advice_names_what_was_used(home: Home) -> None:
    home.context("prod", url="nats://a:1", creds="ada.creds")
    assert home.load("nats://a:1").remedy == "Correct --server."
    assert home.load(NATS_URL="nats://a:1").remedy.startswith("Correct NATS_URL, or unset it")
    assert "nats context edit prod" in home.load(context="prod").remedy
    told = home.load(context="prod").login_remedy
    assert told.startswith('Check context "prod". ')
    assert "layby accounts push" in told
    found = home.load(context="prod", NATS_NKEY="bob.nk")
    assert found.login_remedy == "Check NATS_NKEY."
    assert home.load("nats://ada:x@a:1").login_remedy == "Check the login in the URL (by --server)."


def test_the_owner_is_the_user_or_whom_the_credentials_name(tmp_path: Path) -> None:
    def owner(token: str) -> str | None:
        path = tmp_path / "x.creds"
        path.write_text(f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n")
        return ConnectionSettings(creds=str(path)).owner

    assert ConnectionSettings(user="ada").owner == "ada"
    assert owner("e30." + base64.urlsafe_b64encode(b'{"name":"eve"}').decode().rstrip("=")) == "eve"
    for broken in ("", "x", "e30.!", "e30.e30", "e30.W10"):
        assert owner(broken) is None
    assert ConnectionSettings(creds=str(tmp_path / "nowhere")).owner is None
    assert ConnectionSettings().owner is None
