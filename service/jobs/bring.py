"""The jobs that bring in what a client sent as an import, and take out what one asked for as an export."""

from __future__ import annotations

import orjson
from pgqueuer.models import Job

from service.operations.data import exports, imports
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


class ExportJob:
    """Writes exports of one database; one that was stopped is begun anew."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, job: Job) -> None:
        """Write the export that the job names."""
        store_id, export_id = orjson.loads(job.payload or b"")
        await exports.take_out(self._database, store_id, export_id)
