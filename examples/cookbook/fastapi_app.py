"""A FastAPI application that keeps its sessions and its users' files in a bucket.

Run it as ``STORE=s3://my-bucket uvicorn fastapi_app:app``.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import Cookie, Depends, FastAPI, Form, HTTPException, Request, Response, UploadFile
from fastapi.responses import RedirectResponse

import cshelve

STORE = os.environ.get("STORE", "s3://my-bucket")
SESSION_SECONDS = 24 * 3600
LINK_SECONDS = 60


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Opened here and not above: each of uvicorn's workers has its own event loop.
    sessions = f"{STORE}/sessions?serializer=json&expire_after_seconds={SESSION_SECONDS}"
    # Browsers save what they get: they do not run the scripts of an uploaded page.
    files = (
        f"{STORE}/files?serializer=bytes&use_versioning=false"
        "&put_params.ContentDisposition=attachment"
    )
    async with cshelve.aopen(sessions) as app.state.sessions:
        with await asyncio.to_thread(cshelve.open, files) as app.state.files:
            yield


app = FastAPI(lifespan=lifespan)


def sessions_of(request: Request) -> cshelve.AsyncShelf[str]:
    shelf: cshelve.AsyncShelf[str] = request.app.state.sessions
    return shelf


Sessions = Annotated[cshelve.AsyncShelf[str], Depends(sessions_of)]
SessionCookie = Annotated[str, Cookie(alias="session")]


def key_of(cookie: str) -> str:
    """Return the key of a session. Nobody who can list the keys can log in with them."""
    return hashlib.sha256(cookie.encode()).hexdigest()


async def current_user(sessions: Sessions, cookie: SessionCookie = "") -> str:
    try:
        return await sessions.get(key_of(cookie))
    except KeyError:
        raise HTTPException(401, "log in first") from None


async def files_of_user(
    request: Request, user: Annotated[str, Depends(current_user)]
) -> cshelve.CloudShelf[bytes]:
    """Return a view of the shelf, which contains only the files of this user."""
    files: cshelve.CloudShelf[bytes] = request.app.state.files
    return files.prefix(f"{user}/")


Files = Annotated[cshelve.CloudShelf[bytes], Depends(files_of_user)]


@app.post("/login", status_code=204)
async def login(user: Annotated[str, Form()], sessions: Sessions, response: Response) -> None:
    cookie = secrets.token_urlsafe()
    await sessions.set(key_of(cookie), user)  # Check a password first.
    response.set_cookie(
        "session", cookie, max_age=SESSION_SECONDS, httponly=True, samesite="lax"
    )  # And secure=True, if users reach the server by HTTPS.


@app.post("/logout", status_code=204)
async def logout(sessions: Sessions, response: Response, cookie: SessionCookie = "") -> None:
    await sessions.delete_many([key_of(cookie)])
    response.delete_cookie("session")


@app.post("/files", status_code=201)
async def upload(file: UploadFile, files: Files) -> None:
    name = PurePosixPath(file.filename or "unnamed").name
    # A shelf for asyncio has no `upload`. A thread sends the file in parts, whatever its size.
    await asyncio.to_thread(files.upload, name, file.file)


@app.get("/files")
async def listing(files: Files) -> dict[str, int]:
    return await asyncio.to_thread(lambda: {each.key: each.size_bytes for each in files.entries()})


@app.get("/files/{name}")
async def download(name: str, files: Files) -> RedirectResponse:
    if not await asyncio.to_thread(files.__contains__, name):
        raise HTTPException(404, "there is no such file")
    # Signed without a request. The browser gets the file from the bucket.
    return RedirectResponse(files.presigned_url(name, LINK_SECONDS))
