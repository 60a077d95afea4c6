"""
A consumer of the switch's events: it keeps the balances of all accounts, from events alone.

    pip install boto3
    python consumer.py https://sqs.eu-central-1.amazonaws.com/123456789012/events.fifo balances.db

SQS delivers every event at least once. That it counts once is made here: the event's id and what
the event does are written in one transaction of this program's own database, and the message is
deleted after that. Killed anywhere, it loses nothing and counts nothing twice: a message that was
not deleted comes again, and where its event was written its id is known. So nothing is done to
stop in order, and any number of these may run side by side, over one database.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import sys
import time
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

#: How long SQS holds a request open while nothing comes, seconds: 20 is the most it does.
WAIT_SECONDS = 20
#: Messages of one request: 10 is the most it gives.
MESSAGES_MAX = 10
#: Between two tries where SQS is away, seconds.
RETRY_SECONDS = 5
#: How long another consumer's transaction is waited for, seconds.
BUSY_SECONDS = 30
#: How long ids are kept. A message lives in a queue and in its dead-letter queue for 14 days each.
KEPT_DAYS = 60
#: The versions of events that this program was written for.
VERSIONS = {1}

SCHEMA = """
    CREATE TABLE IF NOT EXISTS seen (
        event_id TEXT PRIMARY KEY,
        seen_at  REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS seen_at ON seen (seen_at);
    CREATE TABLE IF NOT EXISTS balances (
        account            TEXT PRIMARY KEY,
        posted_minor       INTEGER NOT NULL,
        held_minor         INTEGER NOT NULL,
        credit_limit_minor INTEGER NOT NULL,
        newest             TEXT NOT NULL  -- event_id; they sort as what happened
    ) WITHOUT ROWID;
"""


def main() -> None:
    """Consume until killed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("queue_url")
    parser.add_argument("database", help="an SQLite file; it is made where there is none")
    parser.add_argument("--region", default=os.environ.get("AWS_REGION"), help="else AWS_REGION")
    parser.add_argument("--endpoint-url", help="of a VPC endpoint, or of a simulator")
    arguments = parser.parse_args()
    sqs = boto3.client("sqs", region_name=arguments.region, endpoint_url=arguments.endpoint_url)
    database = opened(arguments.database)
    print("consuming", file=sys.stderr)
    while True:
        try:
            consume(sqs, arguments.queue_url, database)
        except (BotoCoreError, ClientError) as error:
            print(f"SQS: {type(error).__name__}; again in {RETRY_SECONDS} s", file=sys.stderr)
            time.sleep(RETRY_SECONDS)
        forget(database)


def opened(file: str) -> sqlite3.Connection:
    """The database, with its tables. A commit is on the disk."""
    database = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(SCHEMA)
    return database


def consume(sqs: Any, queue_url: str, database: sqlite3.Connection) -> None:
    """Take what messages there are, record their events, delete those that are recorded."""
    received = sqs.receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=MESSAGES_MAX, WaitTimeSeconds=WAIT_SECONDS
    )
    recorded = []
    for message in received.get("Messages", ()):
        try:
            record(database, json.loads(message["Body"]))
        except sqlite3.OperationalError:
            raise  # disk, lock: this program's trouble and not the message's. Die, be restarted
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it
            # It stays, comes again, and after some tries SQS moves it to the dead-letter queue.
            # What it holds is not printed.
            print(f"left: {message['MessageId']}: {type(error).__name__}", file=sys.stderr)
        else:
            recorded.append(message["ReceiptHandle"])
    if recorded:
        entries = [
            {"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(recorded)
        ]
        # What cannot be deleted (its visibility has timed out) comes again, and is known.
        sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)


def record(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Do what an event does, once, however often it comes. All of it, or nothing."""
    if event["version"] not in VERSIONS:
        raise ValueError("another version")
    with database:  # commits; rolls back where something raises
        database.execute("BEGIN IMMEDIATE")
        is_new = database.execute(
            "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING",
            (event["event_id"], time.time()),
        ).rowcount
        if is_new:
            apply(database, event)


def apply(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """What an event does to an account's balances: what yours should do instead goes here."""
    if "money" not in event:
        return  # it moved nothing: a decline, a card that was blocked
    money = event["money"]
    posted, held = database.execute(
        """
        INSERT INTO balances VALUES (:account, :posted, :held, :limit, :event_id)
        ON CONFLICT (account) DO UPDATE SET
            posted_minor = posted_minor + excluded.posted_minor,
            held_minor = held_minor + excluded.held_minor,
            credit_limit_minor = CASE WHEN excluded.newest > newest
                THEN excluded.credit_limit_minor ELSE credit_limit_minor END,
            newest = max(newest, excluded.newest)
        RETURNING posted_minor, held_minor
        """,
        {
            "account": event["account"],
            "posted": money["posted_change_minor"],
            "held": money["held_change_minor"],
            "limit": money["credit_limit_minor"],
            "event_id": event["event_id"],
        },
    ).fetchone()
    if (posted, held) != (money["posted_minor"], money["held_minor"]):
        # Sums do not mind: they are right when what is missing has come (the dead-letter queue).
        print(f"account {event['account']}: an earlier event has not been here", file=sys.stderr)


def forget(database: sqlite3.Connection) -> None:
    """Forget ids that cannot come again."""
    database.execute("DELETE FROM seen WHERE seen_at < ?", (time.time() - KEPT_DAYS * 86_400,))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
