"""Telling Events, for all that the controller has to say: one that is there already has happened again."""

import datetime as dt

from headrace.controller import conditions
from headrace.controller.client import Client
from headrace.controller.conditions import Occurrence, Subject
from headrace.kube import lease as leases
from headrace.kube.calls import ConflictError


async def tell(client: Client, subject: Subject, occurrence: Occurrence, action: str, instance: str) -> None:
    """Create an Event, or say that it has happened again; raises CallError."""
    now = leases.stamp(dt.datetime.now(dt.UTC))
    namespace = subject.ref.namespace or subject.ref.name
    try:
        await client.create_event(conditions.event(subject, occurrence, action, instance, now))
    except ConflictError:
        # Whichever replica wrote it before, the number goes on from there.
        count = await client.event_count(namespace, occurrence.name)
        await client.repeat_event(namespace, occurrence.name, count + 1, now)
