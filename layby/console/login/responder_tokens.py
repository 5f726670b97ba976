"""Programs that answer for a person, by a token that only that person or program has."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ...client import Client
from .programs import CLEAR, PATHS, is_private
from .session import Rights, Session
from .token_file import PREFIX, Responder, TokenFile

_BEARER: Final = "bearer "
_LONGEST: Final = 200


class ResponderTokens:
    """The sessions of tokens: they see the questions to their roles, and answer them.

    Args:
        file: Who has which token.
        client: The console's own: it says in the subject that a token vouches for the name.
        read_only: Whether nobody may answer.
    """

    def __init__(self, file: TokenFile, client: Client, *, read_only: bool) -> None:
        self._file = file
        self._client = client
        self._read_only = read_only
        self._sessions: dict[Responder, Session] = {}

    def session(self, request: Request) -> Session | None:
        """The session of the token in a request; None: it has none.

        Raises:
            HTTPException: nobody has that token (401), or it crossed the network in the clear
                (403).
        """
        given = request.headers.getlist("authorization")
        if len(given) != 1 or not request.scope["path"].startswith(PATHS):
            return None
        token = given[0][len(_BEARER) :].strip()
        if not given[0].lower().startswith(_BEARER) or not token.startswith(PREFIX):
            return None
        if not is_private(request):
            raise HTTPException(403, CLEAR)
        found = self._file.find(token) if len(token) <= _LONGEST else None
        self._end_removed()
        if found is None:
            raise HTTPException(401, "Nobody has that token.")
        if found not in self._sessions:
            self._sessions[found] = self._new(found)
        return self._sessions[found]

    def end_all(self) -> None:
        """End all sessions."""
        for session in self._sessions.values():
            session.over.set()
        self._sessions.clear()

    def _end_removed(self) -> None:
        """End the open streams of those whose line is gone."""
        for each in [each for each in self._sessions if not self._file.has(each)]:
            self._sessions.pop(each).over.set()

    def _new(self, who: Responder) -> Session:
        rights = Rights(view=False, roles=who.roles, operate=False)
        return Session(
            name=who.name,
            rights=rights.without_changes() if self._read_only else rights,
            client=self._client,
            vouched=None,
            via="token",
        )
