"""docs/how-to/add-a-resource-type.md, followed to the letter: its own three blocks make a type that the API serves."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest_asyncio
from openapi_spec_validator import validate

from schemas import base, kinds
from schemas.base import graph
from service import resources
from service.jsonapi import openapi
from service.principal import Store
from service.resources import RESOURCES
from service.store import migrate
from service.store.pool import Connection, open_database
from tests import factories
from tests.support import Access, Grant
