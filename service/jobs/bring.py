"""The job that brings in what a client sent as an import."""

from __future__ import annotations

import orjson
from pgqueuer.models import Job

from service.operations.data import imports
from service.store.pool import Database


class ImportJob:
    """Brings imports in on one database; one that was stopped goes on behind its last batch."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, job: Job) -> None:
        """Go on with the import that the job names."""
        store_id, import_id = orjson.loads(job.payload or b"")
        async with self._database.connection() as connection:
            await imports.go_on(connection, store_id, import_id)
