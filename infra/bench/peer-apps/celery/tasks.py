"""The worker: one task that performs the HTTP request of an envelope.

Durable as far as Celery can be: messages persistent, their publishing confirmed, acknowledged after the work.
"""

import json
import os

import urllib3
from celery import Celery

# A link gets two seconds, and one retry a second later.
TIMEOUT_S = 2.0
RETRIES = 1
RETRY_DELAY_S = 1

broker = os.environ["PEER_BROKER"]
app = Celery("peer", broker=broker)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    # One connection for each request that the load has open.
    broker_pool_limit=32,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True} if broker.startswith("amqp") else {},
    worker_prefetch_multiplier=16,
    worker_hijack_root_logger=False,
)

# The layer below requests: less work for each call.
http = urllib3.PoolManager(maxsize=100, retries=False, timeout=TIMEOUT_S)


@app.task(bind=True, max_retries=RETRIES)
def deliver(self, envelope):
    message = envelope["message"]
    body = message.get("body")
    text = None if body is None else json.dumps(body, separators=(",", ":")).encode()
    headers = {} if text is None else {"content-type": "application/json"}
    try:
        answer = http.request(message.get("method", "POST"), message["url"], body=text, headers=headers)
        if not 200 <= answer.status < 300:
            raise urllib3.exceptions.HTTPError(f"answered {answer.status}")
    except urllib3.exceptions.HTTPError as error:
        if self.request.retries < RETRIES:
            raise self.retry(exc=error, countdown=RETRY_DELAY_S)
        note_failure(message["url"])


def note_failure(url):
    """One line for each execution that was given up; a write this short is not torn."""
    with open(os.environ["PEER_FAILURES"], "a", encoding="utf-8") as failures:
        failures.write(url + "\n")
