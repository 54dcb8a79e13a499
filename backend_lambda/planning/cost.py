"""What a deployment costs in a month, line by line: what stands there whether anybody asks or not, and what people use.

A line is a quantity times a price of `prices.toml`, which says where the price was found. Quantities follow from `demand.Demand`, from
what the stacks create (`STANDING`, `EDGE`) and from what is assumed of one call, one question and one document (`Assumed`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

from backend_lambda.planning.demand import SIZES, Counts, Demand

HOURS_PER_MONTH = 730.0
SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600.0
GB = 1e9
MB_PER_GB = 1024.0
"""Of memory, as Lambda is charged."""
MILLION = 1e6
HOME = "us-east-1"

Stage = Literal["dev", "production"]
Residency = Literal["regional", "global"]
SpeechToText = Literal["transcribe", "deepgram"]
TextToSpeech = Literal["polly-neural", "polly-standard", "cartesia"]
Cache = Literal["", "serverless", "node"]
Group = Literal["standing", "use"]

VCPUS = {
    "db.t4g.micro": 2,
    "db.t4g.small": 2,
    "db.t4g.medium": 2,
    "db.t4g.large": 2,
    "db.m7g.large": 2,
    "db.m7g.xlarge": 4,
}
"""Of each class that has a price."""
PROXY_LEAST_VCPUS = 2


# --- What the stacks create. Change it here when a template changes.


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands there in a month without a single request, in one region."""

    nat_gateways: int
    endpoints: tuple[str, ...] = ()
    endpoint_zones: int = 2
    kms_keys: int = 3
    secrets: int = 1
    web_acls: int = 0
    waf_rules: int = 0
    alarms: int = 0
    dashboards: int = 0
    zones: int = 0
    queues: int = 0
    api_memory_mb: int = 0
    chat_memory_mb: int = 0
    processing_memory_mb: int = 0
    snapshots: int = 0
    """Versions of the API function whose snapshot is kept: the one that is live and the one before."""
    metrics: int = 0
    """22 names that see values in an ordinary day, counted in the code (clinics are no dimension of them), and 5 each of the two methods
    of the API that alarms look at."""


STANDING: dict[Stage, Standing] = {
    "dev": Standing(
        nat_gateways=1,
        alarms=50,
        dashboards=1,
        queues=1,
        api_memory_mb=1024,
        chat_memory_mb=768,
        processing_memory_mb=2048,
        metrics=32,
    ),
    "production": Standing(
        nat_gateways=2,
        endpoints=("kms", "bedrock-runtime", "bedrock-agent-runtime", "secretsmanager"),
        web_acls=1,
        waf_rules=7,
        alarms=52,
        dashboards=1,
        zones=1,
        queues=1,
        api_memory_mb=1769,
        chat_memory_mb=1024,
        processing_memory_mb=2048,
        snapshots=2,
        metrics=32,
    ),
}
"""Of `stacks/core.yaml`, by its parameter Stage, as it was on 2026-11-28. 3 keys: data, audit, signing. The secret is the owner's. One
queue is asked by Lambda; dead letters are not. One more rule where AllowedCountries are given."""

EDGE = Standing(nat_gateways=0, kms_keys=1, secrets=0, web_acls=1, waf_rules=4, alarms=3)
"""Of `stacks/edge.yaml`."""

DEV_WAF_RULES = 7
"""Where dev has a firewall at all."""

DATABASES: dict[Stage, tuple[str, bool, int]] = {
    "dev": ("db.t4g.micro", False, 20),
    "production": ("db.t4g.medium", True, 50),
}
"""Class, Multi-AZ, GB of disk, by stage."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """Of one call, one question, one document, and of who uses it: assumptions, not measurements, unless a comment says so."""

    api_call_s: float = (
        0.06  # loopback: 8.3 ms at the 95th percentile (README); the rest is RDS and KMS one zone away
    )
    chat_turn_s: float = 6.0  # 300 tokens at some 60 a second, and what comes before the first
    processing_s: float = 3.0
    cold_share: float = 0.01  # of the API's calls that restore a snapshot
    log_bytes_per_call: int = 2_500  # our line, its metrics, API Gateway's line
    log_bytes_per_turn: int = 4_000
    flow_log_bytes_per_call: int = 300
    log_compression: float = 0.2  # what is charged as kept, of what came in
    log_months: dict[Stage, float] = field(default_factory=lambda: {"dev": 1.0, "production": 12.0})
    response_bytes: int = 3_000
    answer_bytes: int = 6_000  # events with a few words each
    downloads_per_upload: float = 1.0
    model_bytes_per_turn: int = (
        80_000  # through NAT or endpoint: the prompt, and an event frame for every token
    )
    installer_bytes: int = 180_000_000
    releases_per_month: float = 1.0 / 3.0
    dns_queries_per_call: float = 0.2
    signatures_per_scan: float = 1.5  # a token lasts 15 minutes
    key_uses_per_upload: float = 4.0
    queue_polls_per_month: float = 650_000.0  # five of Lambda's pollers, 20 s each
    question_s: float = 15.0  # the least that Transcribe charges
    answer_characters: int = 1_200
    guarded_units_per_turn: float = 3.0  # a question of one, an answer of two
    embedded_tokens_per_turn: int = 60
    vectors_bytes: int = 5_000_000  # some 900 pieces of articles in three languages
    pages_per_upload: float = 1.5
    pictures: float = 0.5  # of the uploads, pages without text
    characters_per_upload: int = 2_000
    urgent_per_scan: float = 0.001
    minutes_per_urgent_call: float = 3.0
    kept_months: float = 12.0  # of documents: the cost after a year
    backup_share: float = 0.5  # of the disk's size, beyond what is free, with 35 days of backups
    replicated_bytes_per_scan: int = 48_000  # the database's log for one observation and its audit
    second_region_checks: int = 2
    ecpu_per_call: float = 4.0


ASSUMED = Assumed()


# --- Prices


@dataclass(frozen=True, slots=True)
class Price:
    """One unit price. See the head of prices.toml."""

    name: str
    what: str
    usd: float
    per: str
    source: str
    read: date
    found: Literal["own", "list", "third", "memory"]
    checked: bool
    free: float = 0.0
    as_of: date | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One that the assistant may be. tokens, regional: factors, see prices.toml."""

    name: str
    id: str
    input: str
    output: str
    tokens: float
    regional: float


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "prices.toml").read_text(encoding="utf-8"))


@cache
def prices() -> dict[str, Price]:
    """By name. Raises TypeError where prices.toml has what a price has not."""
    return {name: Price(name=name, **row) for name, row in _file()["price"].items()}


@cache
def models() -> dict[str, Model]:
    """By the names that `--model` takes."""
    return {name: Model(name=name, **row) for name, row in _file()["model"].items()}


@cache
def elsewhere() -> dict[str, dict[str, float]]:
    """Prices of other regions that were found, by region and name."""
    return {region: dict(rows) for region, rows in _file()["elsewhere"].items()}


# --- What is wanted


@dataclass(frozen=True, slots=True)
class Options:
    """One way to deploy. None means: as the stage has it. thinking_tokens: of one answer, on top of its words."""

    stage: Stage = "production"
    model: str = "haiku-5.5"
    residency: Residency = "regional"
    thinking_tokens: int = 0
    database_class: str | None = None
    multi_az: bool | None = None
    disk_gb: int | None = None
    replica: bool = False
    nat_gateways: int | None = None
    endpoints: bool | None = None
    waf: bool | None = None
    edge: bool | None = None
    second_region: bool = False
    knowledge_base: bool = True
    guardrail: bool = False
    malware_scan: bool = False
    text_recognition: bool = False
    medical_entities: bool = False
    speech_to_text: SpeechToText = "transcribe"
    text_to_speech: TextToSpeech = "polly-neural"
    vitals_stream: bool = False
    health_lake: bool = False
    connect: bool = False
    cache: Cache = ""
    free_tiers: bool = False
    region: str = HOME

    def __post_init__(self) -> None:
        if self.model not in models():
            raise ValueError(f"no model {self.model}; there are {', '.join(models())}")
        if self.database_class is not None and self.database_class not in VCPUS:
            raise ValueError(f"no price of {self.database_class}; there are {', '.join(VCPUS)}")
        if self.region != HOME and self.region not in elsewhere():
            raise ValueError(f"no prices of {self.region}; there are {', '.join([HOME, *elsewhere()])}")
        if min(self.thinking_tokens, self.disk_gb or 0, self.nat_gateways or 0) < 0:
            raise ValueError("tokens, disk and gateways must not be negative")


@dataclass(frozen=True, slots=True)
class Usage:
    """What happens in a month: worked out of a `Demand` (`usage`), or counted by the simulation (`counted`)."""

    people: float
    scans: float
    calls: float
    turns: float
    uploads: float
    upload_bytes: float
    """Of all of them."""
    observation_bytes: float
    """Of all of them."""
    input_tokens: float
    output_tokens: float
    synthesised_turns: float
    transcribed_turns: float
    api_gb_s: float
    chat_gb_s: float
    processing_gb_s: float
    processing_calls: float
    restored_gb: float
    log_bytes: float
    """Of functions and API Gateway."""
    signatures: float
    queue_messages: float


def usage(demand: Demand, standing: Standing, assumed: Assumed = ASSUMED) -> Usage:
    """The means of a month."""
    scans, calls, turns = demand.scans_per_month, demand.calls_per_month, demand.turns_per_month
    uploads = scans * demand.uploads_per_scan
    api_gb = standing.api_memory_mb / MB_PER_GB
    return Usage(
        people=demand.people,
        scans=scans,
        calls=calls,
        turns=turns,
        uploads=uploads,
        upload_bytes=uploads * demand.upload_bytes,
        observation_bytes=scans * demand.observation_bytes,
        input_tokens=turns * demand.input_tokens_per_turn,
        output_tokens=turns * demand.output_tokens_per_turn,
        synthesised_turns=turns * demand.synthesised,
        transcribed_turns=turns * demand.transcribed,
        api_gb_s=calls * assumed.api_call_s * api_gb,
        chat_gb_s=turns * assumed.chat_turn_s * standing.chat_memory_mb / MB_PER_GB,
        processing_gb_s=uploads * assumed.processing_s * standing.processing_memory_mb / MB_PER_GB,
        processing_calls=uploads,
        restored_gb=calls * assumed.cold_share * api_gb,
        log_bytes=calls * assumed.log_bytes_per_call + turns * assumed.log_bytes_per_turn,
        signatures=scans * assumed.signatures_per_scan,
        queue_messages=uploads,
    )


def counted(counts: Counts, demand: Demand, standing: Standing, assumed: Assumed = ASSUMED) -> Usage:
    """What a simulation counted in a month; the rest, which it does not count, as in `usage`."""
    turns = counts.chat_requests
    return replace(
        usage(demand, standing, assumed),
        calls=counts.api_requests,
        turns=turns,
        uploads=counts.uploads,
        upload_bytes=counts.stored_bytes,
        input_tokens=counts.input_tokens,
        output_tokens=counts.output_tokens,
        synthesised_turns=turns * demand.synthesised,
        transcribed_turns=turns * demand.transcribed,
        api_gb_s=counts.api_gb_s,
        chat_gb_s=counts.chat_gb_s,
        processing_gb_s=counts.processing_gb_s,
        processing_calls=counts.processing_requests,
        restored_gb=counts.snapstart_restored_gb,
        log_bytes=counts.log_bytes,
        signatures=counts.kms_signatures,
        queue_messages=counts.queue_messages,
    )


# --- Lines


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill. quantity: in the price's unit, after what is free. factor: on the price (`Model.regional`)."""

    name: str
    group: Group
    price: Price
    quantity: float
    usd_per_unit: float
    own_region: bool
    """Whether the price is the region's own, not that of us-east-1 put in its place."""

    @property
    def usd(self) -> float:
        return self.quantity * self.usd_per_unit


@dataclass(frozen=True, slots=True)
class Estimate:
    """A month's bill. Lines of nothing are left out."""

    used: Usage
    options: Options
    lines: tuple[Line, ...]

    @property
    def usd(self) -> float:
        return sum(line.usd for line in self.lines)

    def of(self, group: Group) -> float:
        """USD of standing there, or of use."""
        return sum(line.usd for line in self.lines if line.group == group)

    @property
    def model_usd(self) -> float:
        """Of the model's tokens alone."""
        model = models()[self.options.model]
        return sum(line.usd for line in self.lines if line.price.name in (model.input, model.output))

    @property
    def model_share(self) -> float:
        """0 to 1."""
        return self.model_usd / self.usd if self.usd else 0.0

    @property
    def unchecked_usd(self) -> float:
        """Of lines whose price was not found in the seller's own page or price list."""
        return sum(line.usd for line in self.lines if not line.price.checked)


_Quantity = tuple[str, Group, str, float]
"""Name, group, the price's name, quantity in the price's unit."""


def estimate(demand: Demand | Usage, options: Options | None = None, assumed: Assumed = ASSUMED) -> Estimate:
    """The bill of a month. Raises ValueError for options that have no price."""
    options = options or Options()
    used = usage(demand, settled(options), assumed) if isinstance(demand, Demand) else demand
    local = elsewhere().get(options.region, {})
    model = models()[options.model]
    spent: dict[str, float] = {}  # of what is free: one account has it once
    lines = []
    for name, group, price_name, quantity in quantities(used, options, assumed):
        price = prices()[price_name]
        if options.free_tiers and price.free:
            left = max(price.free - spent.get(price_name, 0.0), 0.0)
            spent[price_name] = spent.get(price_name, 0.0) + quantity
            quantity = max(quantity - left, 0.0)
        usd = local.get(price_name, price.usd)
        if price_name in (model.input, model.output) and options.residency == "regional":
            usd *= model.regional
        if quantity > 0:
            own = options.region == HOME or price_name in local
            lines.append(Line(name, group, price, quantity, usd, own))
    return Estimate(used, options, tuple(lines))


def quantities(used: Usage, options: Options, assumed: Assumed = ASSUMED) -> Iterator[_Quantity]:
    """Every line, zeros too. The order is the bill's."""
    standing = settled(options)
    yield from _standing(standing, "")
    yield from _database(options, assumed)
    if _edge(options):
        yield from _standing(EDGE, "edge: ")
    yield from _used(used, options, standing, assumed)
    yield from _assistant(used, options, assumed)
    yield from _documents(used, options, assumed)
    if options.second_region:
        yield from _second(used, options, standing, assumed)
    yield from _optional(used, options, assumed)


def settled(options: Options) -> Standing:
    """What the stage has, with the options in it."""
    standing = STANDING[options.stage]
    if options.nat_gateways is not None:
        standing = replace(standing, nat_gateways=options.nat_gateways)
    if options.endpoints is not None:
        services = STANDING["production"].endpoints if options.endpoints else ()
        standing = replace(standing, endpoints=services)
    if standing.endpoints:
        more = {"textract": options.text_recognition, "comprehendmedical": options.medical_entities}
        wanted = tuple(service for service, used in more.items() if used)
        standing = replace(standing, endpoints=(*standing.endpoints, *wanted))
    if options.waf is not None:
        rules = standing.waf_rules or DEV_WAF_RULES
        standing = replace(standing, web_acls=int(options.waf), waf_rules=rules if options.waf else 0)
    return standing


def database(options: Options) -> tuple[str, bool, int]:
    """Class, Multi-AZ, GB of disk."""
    name, multi, disk_gb = DATABASES[options.stage]
    return (
        options.database_class or name,
        multi if options.multi_az is None else options.multi_az,
        disk_gb if options.disk_gb is None else options.disk_gb,
    )


def _edge(options: Options) -> bool:
    return options.stage == "production" if options.edge is None else options.edge


def _standing(what: Standing, prefix: str) -> Iterator[_Quantity]:
    def line(name: str, price: str, quantity: float) -> _Quantity:
        return f"{prefix}{name}", "standing", price, quantity

    endpoint_hours = len(what.endpoints) * what.endpoint_zones * HOURS_PER_MONTH
    snapshots = what.snapshots * what.api_memory_mb / MB_PER_GB * SECONDS_PER_MONTH
    yield line("NAT gateways", "nat_hour", what.nat_gateways * HOURS_PER_MONTH)
    yield line("their addresses", "public_ipv4_hour", what.nat_gateways * HOURS_PER_MONTH)
    yield line("interface endpoints", "endpoint_hour", endpoint_hours)
    yield line("WAF", "waf_acl", what.web_acls)
    yield line("WAF's rules", "waf_rule", what.waf_rules)
    yield line("keys", "kms_key", what.kms_keys)
    yield line("secrets", "secret", what.secrets)
    yield line("zone", "dns_zone", what.zones)
    yield line("alarms", "alarm", what.alarms)
    yield line("dashboard", "dashboard", what.dashboards)
    yield line("metrics", "metric", what.metrics)
    yield line("snapshots", "snapstart_cache", snapshots)


def _price_of(class_name: str, *, multi: bool) -> str:
    return f"rds_{'multi' if multi else 'single'}_{class_name.replace('.', '_')}"


def _database(options: Options, assumed: Assumed) -> Iterator[_Quantity]:
    name, multi, disk_gb = database(options)
    zones = ", Multi-AZ" if multi else ""
    vcpus = max(VCPUS[name], PROXY_LEAST_VCPUS)
    yield f"PostgreSQL {name}{zones}", "standing", _price_of(name, multi=multi), HOURS_PER_MONTH
    yield "PostgreSQL's disk", "standing", "rds_disk_multi" if multi else "rds_disk", disk_gb
    if options.stage == "production":  # dev keeps 7 days, which the free part holds
        yield "PostgreSQL's backups", "standing", "rds_backup", disk_gb * assumed.backup_share
    yield "RDS Proxy", "standing", "rds_proxy", vcpus * HOURS_PER_MONTH
    if options.replica:  # in as many zones as the writer
        yield f"read replica {name}{zones}", "standing", _price_of(name, multi=multi), HOURS_PER_MONTH
        yield "read replica's disk", "standing", "rds_disk_multi" if multi else "rds_disk", disk_gb


def _used(used: Usage, options: Options, standing: Standing, assumed: Assumed) -> Iterator[_Quantity]:
    requests = used.calls + used.turns
    downloaded_bytes = assumed.downloads_per_upload * used.upload_bytes
    yield "Lambda: API", "use", "lambda_duration", used.api_gb_s
    yield "Lambda: answers", "use", "lambda_duration", used.chat_gb_s
    yield "Lambda: documents", "use", "lambda_duration", used.processing_gb_s
    yield "Lambda: calls", "use", "lambda_requests", (requests + used.processing_calls) / MILLION
    yield "snapshots restored", "use", "snapstart_restore", used.restored_gb
    yield "API Gateway", "use", "api_gateway", requests / MILLION
    yield "WAF: requests", "use", "waf_requests", requests / MILLION if standing.web_acls else 0.0
    out_bytes = used.calls * assumed.response_bytes + used.turns * assumed.answer_bytes
    yield "to the internet", "use", "transfer_out", (out_bytes + downloaded_bytes) / GB
    model_gb = used.turns * assumed.model_bytes_per_turn / GB
    if standing.endpoints:
        yield "endpoints: data", "use", "endpoint_gb", model_gb
    else:
        yield "NAT gateways: data", "use", "nat_gb", model_gb
    yield "names looked up", "use", "dns_queries", requests * assumed.dns_queries_per_call / MILLION
    yield "tokens signed", "use", "kms_signatures", used.signatures / 1e4
    yield "keys used", "use", "kms_requests", used.uploads * assumed.key_uses_per_upload / 1e4
    yield "secrets read", "use", "secret_requests", HOURS_PER_MONTH / 1e4  # the proxy, hourly at most
    log_bytes = used.log_bytes + used.calls * assumed.flow_log_bytes_per_call
    kept = assumed.log_months[options.stage] * assumed.log_compression
    yield "logs", "use", "logs_ingested", log_bytes / GB
    yield "logs kept", "use", "logs_kept", log_bytes / GB * kept
    # X-Ray takes the first request of every second and 5 % of the others; so much at most, however they come.
    first = min(requests, SECONDS_PER_MONTH)
    yield "traces", "use", "traces", (first + 0.05 * (requests - first)) / MILLION
    if _edge(options):
        installs = used.people * assumed.releases_per_month
        yield "downloads", "use", "cloudfront_gb", installs * assumed.installer_bytes / GB
        checks = used.people * 30.0  # for an update, once a day
        yield "downloads: requests", "use", "cloudfront_requests", (installs + checks) / 1e4


def _assistant(used: Usage, options: Options, assumed: Assumed) -> Iterator[_Quantity]:
    model = models()[options.model]
    written = used.output_tokens + used.turns * options.thinking_tokens
    yield f"{model.name}: read", "use", model.input, used.input_tokens * model.tokens / MILLION
    yield f"{model.name}: written", "use", model.output, written * model.tokens / MILLION
    if options.knowledge_base:
        searched_tb = used.turns * assumed.vectors_bytes / 1e12
        embedded = used.turns * assumed.embedded_tokens_per_turn
        yield "knowledge: questions", "use", "embedding", embedded / MILLION
        yield "knowledge: queries", "use", "vectors_queries", used.turns / MILLION
        yield "knowledge: searched", "use", "vectors_searched", searched_tb
        yield "knowledge: kept", "standing", "vectors_kept", assumed.vectors_bytes / GB
    if options.guardrail:
        yield "guardrail", "use", "guardrail", used.turns * assumed.guarded_units_per_turn / 1e3
    heard_s = used.transcribed_turns * assumed.question_s
    if options.speech_to_text == "transcribe":
        yield "hearing: Transcribe", "use", "transcribe", heard_s
    else:
        yield "hearing: Deepgram", "use", "deepgram", heard_s / 60.0
    spoken = used.synthesised_turns * assumed.answer_characters / MILLION
    yield f"speaking: {options.text_to_speech}", "use", options.text_to_speech.replace("-", "_"), spoken


def _documents(used: Usage, options: Options, assumed: Assumed) -> Iterator[_Quantity]:
    month_gb = used.upload_bytes / GB
    months = assumed.kept_months
    # A month in Standard, one watched and not yet thought cold, the rest cold. After 90 days it is cheaper still.
    yield "documents: first month", "standing", "s3_standard", month_gb * min(months, 1.0)
    yield (
        "documents: second month",
        "standing",
        "s3_tiering_frequent",
        month_gb * min(max(months - 1, 0.0), 1.0),
    )
    yield "documents: older", "standing", "s3_tiering_infrequent", month_gb * max(months - 2, 0.0)
    watched = used.uploads * max(months - 1, 0.0) / 1e3
    yield "documents: watched", "standing", "s3_tiering_objects", watched
    heads = HOURS_PER_MONTH  # of the audit
    yield "S3: writes", "use", "s3_put", (2.0 * used.uploads + heads) / 1e3
    yield "S3: reads", "use", "s3_get", (2.0 + assumed.downloads_per_upload) * used.uploads / 1e3
    polls = STANDING[options.stage].queues * assumed.queue_polls_per_month
    yield "queues", "use", "queue_requests", (polls + 3.0 * used.queue_messages) / MILLION
    if options.malware_scan:
        yield "documents: malware", "use", "malware_gb", month_gb
        yield "documents: malware, each", "use", "malware_objects", used.uploads / 1e3
    if options.text_recognition:
        pages = used.uploads * assumed.pictures * assumed.pages_per_upload
        yield "documents: text of pictures", "use", "textract", pages / 1e3
    if options.medical_entities:
        units = used.uploads * assumed.characters_per_upload / 100.0
        yield "documents: medical words", "use", "comprehend_medical", units


def _second(used: Usage, options: Options, standing: Standing, assumed: Assumed) -> Iterator[_Quantity]:
    """A warm standby: the same stack with a replica instead of the writer, and what keeps it up to date."""
    prefix = "second region: "
    name, multi, disk_gb = database(options)
    zones = ", Multi-AZ" if multi else ""
    yield from _standing(replace(standing, zones=0), prefix)  # the zone's names are of both
    yield f"{prefix}replica {name}{zones}", "standing", _price_of(name, multi=multi), HOURS_PER_MONTH
    yield f"{prefix}replica's disk", "standing", "rds_disk_multi" if multi else "rds_disk", disk_gb
    vcpus = max(VCPUS[name], PROXY_LEAST_VCPUS)
    yield f"{prefix}RDS Proxy", "standing", "rds_proxy", vcpus * HOURS_PER_MONTH
    month_gb = used.upload_bytes / GB
    yield f"{prefix}documents", "standing", "s3_standard", month_gb * assumed.kept_months
    copied = month_gb + used.scans * assumed.replicated_bytes_per_scan / GB
    yield f"{prefix}copying", "use", "transfer_between_regions", copied
    yield f"{prefix}S3: writes", "use", "s3_put", used.uploads / 1e3
    yield "health checks", "standing", "dns_health_check", assumed.second_region_checks
    yield "health checks: HTTPS", "standing", "dns_health_check_feature", assumed.second_region_checks


def _optional(used: Usage, options: Options, assumed: Assumed) -> Iterator[_Quantity]:
    if options.vitals_stream:
        gb = used.observation_bytes / GB
        yield "vitals stream", "standing", "kinesis_hour", HOURS_PER_MONTH
        yield "vitals stream: in", "use", "kinesis_in", gb
        yield "vitals stream: out", "use", "kinesis_out", gb
    if options.health_lake:
        yield "HealthLake", "standing", "healthlake", HOURS_PER_MONTH
    if options.connect:
        minutes = used.scans * assumed.urgent_per_scan * assumed.minutes_per_urgent_call
        yield "Connect", "use", "connect", minutes
        yield "Connect: telephone", "use", "connect_telephone", minutes
    if options.cache == "serverless":
        yield "cache", "standing", "cache_serverless", 0.1 * HOURS_PER_MONTH
        work = (used.calls + used.turns) * assumed.ecpu_per_call / MILLION
        yield "cache: work", "use", "cache_serverless_work", work
    elif options.cache == "node":
        yield "cache", "standing", "cache_node", HOURS_PER_MONTH


# --- The document's three sizes


@dataclass(frozen=True, slots=True)
class Size:
    """One size that was promised, how it is deployed, and what it was to cost, USD a month."""

    demand: Demand
    options: Options
    least_usd: float
    most_usd: float


PROMISED = {
    "development": Size(SIZES["development"], Options(stage="dev"), 50.0, 100.0),
    "10000": Size(SIZES["10000"], Options(), 500.0, 800.0),
    "100000": Size(
        SIZES["100000"], Options(database_class="db.m7g.large", disk_gb=250, replica=True), 3_000.0, 5_000.0
    ),
}
"""By the names of `demand.SIZES`."""

MOST_TURNS = 1_000.0


def turns_that_fit(demand: Demand, options: Options, budget_usd: float, assumed: Assumed = ASSUMED) -> float:
    """Questions per scan that the budget pays for; 0 where it does not even pay for what stands there, `MOST_TURNS` at most."""

    def usd(turns: float) -> float:
        return estimate(replace(demand, turns_per_scan=turns), options, assumed).usd

    low, high = 0.0, MOST_TURNS
    if usd(low) >= budget_usd:
        return 0.0
    if usd(high) <= budget_usd:
        return high
    for _ in range(60):  # each turn costs something, so the bill grows with them and halving finds the place
        middle = (low + high) / 2.0
        if usd(middle) <= budget_usd:
            low = middle
        else:
            high = middle
    return low


def markdown() -> str:
    """What the operators' guide says of the cost."""
    from backend_lambda.planning import told

    return "\n".join(table.markdown() for table in told.cost_tables())
