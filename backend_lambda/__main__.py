"""Commands for whoever runs the service; `python -m backend_lambda --help`.

Exit status: 0 done; 1 `audit verify` found something; 2 the command line or the environment is wrong; 3 something does not answer.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError

from backend_lambda.errors import Refusal

FLAWED, WRONG, UNANSWERED = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given)
    except ValidationError as error:
        wrong = sorted({f"HH_{str(one['loc'][0]).upper()}" for one in error.errors() if one["loc"]})
        return _fail(WRONG, f"the environment is wrong: {', '.join(wrong)}")
    except Refusal as refusal:
        return _fail(UNANSWERED, str(refusal))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend_lambda", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    openapi = commands.add_parser("openapi", help="write the API's OpenAPI document")
    openapi.add_argument("file", nargs="?", type=Path, help="instead of standard output")
    openapi.set_defaults(run=_openapi)
    migrate = commands.add_parser(
        "migrate", help="bring the database that HH_DATABASE_URL names to the newest form"
    )
    migrate.add_argument(
        "--logins",
        action="store_true",
        help="make the functions' logins too (store/logins.py), without passwords",
    )
    migrate.set_defaults(run=_migrate)
    audit = commands.add_parser("audit", help="the audit, with the auditor's login in HH_DATABASE_URL")
    of_audit = audit.add_subparsers(required=True, metavar="COMMAND")
    verify = of_audit.add_parser("verify", help="name every row that was changed, is missing or was moved")
    verify.add_argument("--clinic", type=UUID, help="this one only")
    verify.add_argument("--days", type=int, help="compare with the heads kept in so many days only: quicker")
    verify.set_defaults(run=_verify)
    heads = of_audit.add_parser("heads", help="keep the heads of all chains in the audit bucket, locked")
    heads.set_defaults(run=_heads)
    ingest = commands.add_parser("ingest", help="bring a folder of articles into the knowledge base")
    ingest.add_argument("folder", type=Path, help="holds LANGUAGE/ID.md")
    ingest.add_argument("--bucket", required=True, help="that the knowledge base's data source reads")
    ingest.add_argument("--data-source", required=True, help="its id")
    ingest.add_argument("--region", help="default: HH_REGION")
    ingest.add_argument("--knowledge-base", metavar="ID", help="default: HH_KNOWLEDGE_BASE_ID")
    ingest.set_defaults(run=_ingest)
    return parser


def _openapi(given: argparse.Namespace) -> int:
    from backend_lambda import openapi

    if given.file is None:
        sys.stdout.write(openapi.text())
    else:
        given.file.write_text(openapi.text(), encoding="utf-8", newline="\n")
    return 0


def _migrate(given: argparse.Namespace) -> int:
    import psycopg

    from backend_lambda.store.logins import LoginsRefused, make_logins
    from backend_lambda.store.migrate import MigrationRefused, migrate

    url = os.environ.get("HH_DATABASE_URL", "")
    if not url:
        return _fail(WRONG, "the environment is wrong: HH_DATABASE_URL")
    try:
        applied = migrate(url)
        made = make_logins(url) if given.logins else []
    except (MigrationRefused, LoginsRefused) as refused:
        return _fail(WRONG, str(refused))
    except psycopg.Error as error:
        return _fail(UNANSWERED, f"the database refuses or does not answer ({type(error).__name__})")
    _say(f"{len(applied)} applied{': ' if applied else ''}{', '.join(applied)}")
    if given.logins:
        _say(f"{len(made)} logins made{': ' if made else ''}{', '.join(made)}")
    return 0


def _verify(given: argparse.Namespace) -> int:
    from backend_lambda import app
    from backend_lambda.services.audit import ObjectFinding

    is_whole = True
    for finding in app.backend().audit.verify(given.clinic, days=given.days):
        if isinstance(finding, ObjectFinding):
            is_whole = False
            _say(f"{finding.key}  version {finding.version_id}  {finding.flaw}")
            continue
        for flaw in finding.flaws:
            is_whole = False
            rows = f" ({flaw.count} rows)" if flaw.count > 1 else ""
            _say(f"{finding.clinic_id}  row {flaw.seq}  {flaw.kind}{rows}")
        if not finding.flaws:
            _say(f"{finding.clinic_id}  whole, {finding.anchors} kept heads compared")
    return 0 if is_whole else FLAWED


def _heads(_: argparse.Namespace) -> int:
    from backend_lambda import app

    key, count = app.backend().audit.keep_heads()
    _say(f"{key}: {count}")
    return 0


def _ingest(given: argparse.Namespace) -> int:
    from backend_lambda.aws.clients import Clients
    from backend_lambda.aws.knowledge import BedrockIngestion
    from backend_lambda.aws.objects import S3Objects
    from backend_lambda.services.knowledge import BadArticle, ingest, read

    # No settings of a function: whoever brings articles has neither its database nor its keys.
    region = given.region or os.environ.get("HH_REGION", "")
    knowledge_base = given.knowledge_base or os.environ.get("HH_KNOWLEDGE_BASE_ID", "")
    missing = [
        name for name, value in (("HH_REGION", region), ("HH_KNOWLEDGE_BASE_ID", knowledge_base)) if not value
    ]
    if missing:
        return _fail(WRONG, f"the environment is wrong: {', '.join(missing)}")
    is_local = os.environ.get("HH_STAGE") == "local"  # as in the settings: a stand-in is asked there only
    clients = Clients(region, os.environ.get("HH_AWS_ENDPOINT_URL", "") if is_local else "")
    store = BedrockIngestion(clients, S3Objects(clients, given.bucket), knowledge_base, given.data_source)
    try:
        articles = read(given.folder)
    except BadArticle as bad:
        return _fail(WRONG, str(bad))
    version, job = ingest(articles, store)
    _say(f"{len(articles)} articles as version {version}, job {job}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _fail(status: int, why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
