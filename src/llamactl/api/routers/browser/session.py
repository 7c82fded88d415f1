"""/api/v1/session: a browser signs in, says who it is, and signs out."""

from __future__ import annotations

import time
from hashlib import sha256

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from llamactl import __version__
from llamactl.api.errors import answers
from llamactl.api.services import GUARDS, Services, ServicesDep, json_alone
from llamactl.core.errors import Forbidden, NotLocal
from llamactl.core.keys import ANYONE, Caller, Session
from llamactl.policy.access.rules import digest, token_of
from llamactl.policy.access.session import cookie_name, identify_user, session_of
from llamactl.policy.access.sign_in_links import LASTS_S, is_from_here
from llamactl.schemas.session import (
    LinkSignInRequest,
    SessionBody,
    SignedOutBody,
    SignInLinkBody,
    SignInRequest,
)

router = APIRouter(prefix="/api/v1/session", tags=["session"])


@router.post("", responses=answers(415, 429))
async def sign_in(
    asked: SignInRequest, request: Request, response: Response, services: ServicesDep
) -> SessionBody:
    """Sign in. Returns a cookie that is valid here and for the built-in chat, not for engines."""
    json_alone(request)
    begun = await services.sessions.begin(asked.key.strip(), _address(request))
    return _signed_in(begun, request, response, services)


@router.post("/link", responses=answers(), dependencies=GUARDS)
async def make_link(request: Request, response: Response, services: ServicesDep) -> SignInLinkBody:
    """Make a link that signs a browser on this machine in, once and within a minute.

    Send a management key in a header; a browser's session can't make one.
    """
    response.headers["cache-control"] = "no-store"
    if not services.settings.auth.require_management_auth:
        return SignInLinkBody(path="", lasts_s=None)
    key = token_of(dict(request.scope["headers"])).strip()
    if not key:
        raise Forbidden("a sign-in link needs a management key; send it in a header")
    if not is_from_here(_address(request), request.scope["headers"]):
        raise NotLocal(
            "a sign-in link can be made only on the machine that llamactl runs on, at a loopback "
            "address and without a proxy; open the page and sign in with a key"
        )
    token = services.sessions.links.issue(digest(key.decode("utf-8", "surrogateescape")))
    return SignInLinkBody(path=f"#/sign-in?token={token}", lasts_s=LASTS_S)


@router.post("/link/sign-in", responses=answers(415, 429))
async def sign_in_by_link(
    asked: LinkSignInRequest, request: Request, response: Response, services: ServicesDep
) -> SessionBody:
    """Sign in by the token of a link, from this machine only. Returns the same cookie as a key."""
    json_alone(request)
    address = _address(request)
    from_here = is_from_here(address, request.scope["headers"])
    begun = await services.sessions.begin_by_link(asked.token, address, from_here=from_here)
    return _signed_in(begun, request, response, services)


def _signed_in(
    begun: tuple[str, Caller, Session], request: Request, response: Response, services: Services
) -> SessionBody:
    value, caller, session = begun
    response.set_cookie(
        cookie_name(request.headers.get("host", "")),
        value,
        max_age=session.expires_at - int(time.time()),
        httponly=True,
        samesite="strict",
        secure=request.headers.get("origin", "").startswith("https:"),
    )
    response.headers["cache-control"] = "no-store"
    return _body(caller, session, persisted=services.sessions.is_persisted(session))


@router.get("", responses=answers())
async def who_am_i(request: Request, response: Response, services: ServicesDep) -> SessionBody:
    """Get the session of the cookie or key in the request."""
    response.headers["cache-control"] = "no-store"
    caller = _who(request, services)
    value = session_of(request.method, dict(request.scope["headers"]))
    session = services.ring.sessions.by_digest.get(digest(value))
    if session is None or not services.settings.auth.require_management_auth:
        return _body(caller, None)
    return _body(caller, session, persisted=services.sessions.is_persisted(session))


@router.delete("", status_code=204, responses={202: {"model": SignedOutBody}, **answers()})
async def sign_out(request: Request, services: ServicesDep) -> Response:
    """Sign out. The session ends wherever its cookie is used. 202: the store is unavailable."""
    answer = Response(status_code=204)
    if value := session_of(request.method, dict(request.scope["headers"])):
        ended = await services.sessions.end(value)
        if not ended.persisted:
            body = SignedOutBody(persisted=False, survives_restart=ended.survives_restart)
            answer = JSONResponse(body.model_dump(), 202)
        answer.delete_cookie(
            cookie_name(request.headers.get("host", "")), httponly=True, samesite="strict"
        )
    return answer


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _who(request: Request, services: Services) -> Caller:
    if not services.settings.auth.require_management_auth:
        return ANYONE
    headers = dict(request.scope["headers"])
    return identify_user(request.method, headers, services.ring, time.time())


def _body(caller: Caller, session: Session | None, *, persisted: bool = True) -> SessionBody:
    return SessionBody(
        management=caller.management,
        key_name="" if caller.key is None else caller.key.name,
        key_id=_key_id(caller, session),
        expires_at=None if session is None else session.expires_at,
        version=__version__,
        persisted=persisted,
    )


_ID_DIGITS = 8  # few, so that a browser's storage is of little help in guessing a weak key


def _key_id(caller: Caller, session: Session | None) -> str:
    if caller.key is not None:
        return caller.key.id
    if session is not None:
        return sha256(b"page" + session.key_digest).hexdigest()[:_ID_DIGITS]
    return ""
