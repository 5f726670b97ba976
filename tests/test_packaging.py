ROOT = Path(__file__).parent.parent
FOLDERS = ("actors", "bus", "runtime", "tools")

def test_every_package_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(("layby", *init.parent.relative_to(ROOT).parts))
        for folder in FOLDERS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert set(listed) == {"layby", *found}

@pytest.mark.parametrize("folder", FOLDERS)
def test_import_name_leads_to_the_folder(folder: str) -> None:
    link = ROOT / "layby" / folder
    if not link.is_symlink():
        pytest.skip("checked out without symlinks")
    assert link.resolve() == ROOT / folder

def test_modules_are_imported_once() -> None:  # `import layby.bus` above; guards against the doubled face
    copies = [name for name in sys.modules if name.endswith("bus.envelope")]
    assert copies == ["layby.bus.envelope"]
