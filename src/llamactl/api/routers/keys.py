"""/api/v1/auth/keys: inference keys."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from llamactl.api.bodies import key_fields
from llamactl.api.errors import answers
from llamactl.api.services import GUARDS, ServicesDep
from llamactl.schemas.keys import KeyBody, KeyRequest, NewKeyBody, PermissionsBody, RevokedBody

router = APIRouter(prefix="/api/v1/auth/keys", dependencies=GUARDS, tags=["keys"])


@router.post("", status_code=201, responses=answers(404, 415))
async def create_key(asked: KeyRequest, services: ServicesDep) -> NewKeyBody:
    key, token = await services.keys.create(
        asked.name,
        asked.permission_mode,
        asked.instances,
        asked.expires_at,
        priority=asked.priority,
    )
    return NewKeyBody(**key_fields(key), key=token)


@router.get("", responses=answers())
async def list_keys(services: ServicesDep) -> list[KeyBody]:
    return [KeyBody(**key_fields(key)) for key in services.keys.all()]


@router.get("/{key_id}", responses=answers(404))
async def get_key(key_id: str, services: ServicesDep) -> KeyBody:
    revoked = services.keys.is_revoked(key_id)
    return KeyBody(**key_fields(services.keys.get(key_id)), revoked=revoked, persisted=not revoked)


@router.delete(
    "/{key_id}", status_code=204, responses={202: {"model": RevokedBody}, **answers(404)}
)
async def delete_key(key_id: str, services: ServicesDep) -> Response:
    """Takes effect at once, even if the store is unavailable: then the response is 202."""
    revoked = await services.keys.revoke(key_id)
    if revoked.persisted:
        return Response(status_code=204)
    body = RevokedBody(id=key_id, persisted=False, survives_restart=revoked.survives_restart)
    return JSONResponse(body.model_dump(), 202)


@router.get("/{key_id}/permissions", responses=answers(404))
async def get_permissions(key_id: str, services: ServicesDep) -> PermissionsBody:
    key = services.keys.get(key_id)
    return PermissionsBody(permission_mode=key.permission_mode, instances=services.keys.names(key))
