"""The ingress: takes an envelope over HTTP and answers once the broker has it."""

import os
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tasks import deliver


async def messages(request):
    envelope = await request.json()
    if not isinstance(envelope.get("subject"), str) or "url" not in envelope.get("message", {}):
        return JSONResponse({"detail": "subject and message.url are required"}, 400)
    # Waits for the broker, in the loop: with a pool of threads for it a message cost up to a tenth more.
    result = deliver.delay(envelope)
    return JSONResponse({"id": result.id, "subject": envelope["subject"]})


async def failed(_request):
    try:
        with open(os.environ["PEER_FAILURES"], encoding="utf-8") as failures:
            return JSONResponse(sum(1 for _ in failures))
    except FileNotFoundError:
        return JSONResponse(0)


app = Starlette(routes=[Route("/messages", messages, methods=["POST"]), Route("/failed", failed)])

if __name__ == "__main__":
    # Several processes listen on the port, and the kernel shares the connections out. With one listening socket for all
    # of them the first takes every connection of a burst.
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    # A connection may be quiet for longer than the usual five seconds when everything is slow.
    config = uvicorn.Config(app, http="httptools", access_log=False, timeout_keep_alive=75)
    uvicorn.Server(config).run(sockets=[listener])
