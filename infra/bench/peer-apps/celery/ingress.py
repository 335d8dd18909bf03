"""The ingress: takes an envelope over HTTP and answers once the broker has it."""

import os

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

from tasks import deliver


async def messages(request):
    envelope = await request.json()
    if not isinstance(envelope.get("subject"), str) or "url" not in envelope.get("message", {}):
        return JSONResponse({"detail": "subject and message.url are required"}, 400)
    # Publishing waits for the broker's word; in the loop itself it would hold up everybody else.
    result = await run_in_threadpool(deliver.delay, envelope)
    return JSONResponse({"id": result.id, "subject": envelope["subject"]})


async def failed(_request):
    try:
        with open(os.environ["PEER_FAILURES"], encoding="utf-8") as failures:
            return JSONResponse(sum(1 for _ in failures))
    except FileNotFoundError:
        return JSONResponse(0)


app = Starlette(routes=[Route("/messages", messages, methods=["POST"]), Route("/failed", failed)])
