"""What only the edge has: how long its files are kept by caches, which headers guard the page, and the page itself."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.backend_lambda.stacks import templates
from tests.backend_lambda.stacks.reading import REPOSITORY, at
from tests.backend_lambda.stacks.templates import Resource

EDGES = ["edge, dev", "edge, a new zone", "edge, production", "edge, production, everything"]
DOWNLOAD = REPOSITORY / "assets" / "download"
LANGUAGES = {"index.html": ("en", "ltr"), "es.html": ("es", "ltr"), "ar.html": ("ar", "rtl")}


def distribution(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (
        templates.template(name).of("AWS::CloudFront::Distribution")[0].properties["DistributionConfig"]
    )
    return found


def behaviours(name: str) -> Iterator[tuple[str, Mapping[str, Any], Resource, Resource]]:
    """Path, behaviour, its cache and its headers."""
    template, config = templates.template(name), distribution(name)
    for one in [config["DefaultCacheBehavior"], *config["CacheBehaviors"]]:
        cache, headers = (
            template.behind(one["CachePolicyId"])[0],
            template.behind(one["ResponseHeadersPolicyId"])[0],
        )
        yield one.get("PathPattern", "*"), one, cache, headers


@pytest.mark.parametrize("name", EDGES)
def test_it_gives_out_files_and_takes_nothing(name: str) -> None:
    config = distribution(name)
    assert config["HttpVersion"] == "http2and3"
    assert config["DefaultRootObject"] == "index.html"
    for _, behaviour, cache, _ in behaviours(name):
        assert behaviour["AllowedMethods"] == behaviour["CachedMethods"] == ["GET", "HEAD"]
        asked = cache.properties["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
        assert asked["CookiesConfig"] == {"CookieBehavior": "none"}
        assert asked["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
        assert asked["HeadersConfig"] == {"HeaderBehavior": "none"}


def test_a_version_is_kept_for_ever_and_an_update_for_a_minute() -> None:
    """Longest time at CloudFront and in a browser, by path."""
    told = {}
    for path, _, cache, headers in behaviours("edge, production"):
        custom = headers.properties["ResponseHeadersPolicyConfig"]["CustomHeadersConfig"]["Items"]
        control = next(one["Value"] for one in custom if one["Header"] == "Cache-Control")
        told[path] = (cache.properties["CachePolicyConfig"]["MaxTTL"], control)
    assert told == {
        "*": (300, "public, max-age=300"),
        "/releases/*": (31536000, "public, max-age=31536000, immutable"),
        "/updates/*": (60, "public, max-age=60"),
    }


@pytest.mark.parametrize("name", EDGES)
def test_every_answer_carries_the_guards(name: str) -> None:
    for _, _, _, headers in behaviours(name):
        guards = headers.properties["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
        assert guards["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 31536000
        assert guards["ContentTypeOptions"] == {"Override": True}
        assert guards["FrameOptions"]["FrameOption"] == "DENY"
        assert guards["ReferrerPolicy"]["ReferrerPolicy"] == "no-referrer"
        policy = guards["ContentSecurityPolicy"]["ContentSecurityPolicy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize("name", EDGES)
def test_only_cloudfront_reads_the_bucket(name: str) -> None:
    template = templates.template(name)
    config = distribution(name)
    assert [one["OriginAccessControlId"] for one in config["Origins"]] == ["⟨OriginAccess⟩"] * len(
        config["Origins"]
    )
    assert (
        template.resources["OriginAccess"].properties["OriginAccessControlConfig"]["SigningBehavior"]
        == "always"
    )
    document = template.resources["FilesPolicy"].properties["PolicyDocument"]
    allowed = [one for one in document["Statement"] if one["Effect"] == "Allow"]
    assert [(one["Principal"], one["Action"]) for one in allowed] == [
        ({"Service": "cloudfront.amazonaws.com"}, "s3:GetObject")
    ]
    assert "⟨Distribution⟩" in str(allowed[0]["Condition"])


def test_what_is_optional_is_off() -> None:
    """Without a name, a replica, countries or an address nothing of them is there."""
    template, config = templates.template("edge, dev"), distribution("edge, dev")
    assert {"Certificate", "Names", "Zone", "ReplicationRole", "AlarmMail", "CertificateAlarm"}.isdisjoint(
        template.resources
    )
    assert "Aliases" not in config
    assert "OriginGroups" not in config
    assert "ReplicationConfiguration" not in template.resources["Files"].properties
    assert "countries" not in {one["Name"] for one in template.resources["Firewall"].properties["Rules"]}


def test_with_everything_it_fails_over_and_refuses_other_countries() -> None:
    template, config = (
        templates.template("edge, production, everything"),
        distribution("edge, production, everything"),
    )
    assert config["Aliases"] == ["download.clinic.example"]
    group = config["OriginGroups"]["Items"][0]
    assert [one["OriginId"] for one in group["Members"]["Items"]] == ["files", "replica"]
    assert {
        behaviour["TargetOriginId"] for _, behaviour, _, _ in behaviours("edge, production, everything")
    } == {group["Id"]}
    rules = {one["Name"]: one for one in template.resources["Firewall"].properties["Rules"]}
    assert at(rules["countries"], "Statement.NotStatement.Statement.GeoMatchStatement.CountryCodes") == [
        "DE",
        "AT",
    ]
    assert {one["Type"] for one in template.resources["Names"].properties["RecordSets"]} == {"A", "AAAA"}
    assert (
        template.resources["Certificate"].properties["DomainValidationOptions"][0]["HostedZoneId"] == "⟨Zone⟩"
    )


def test_every_change_of_a_file_is_told() -> None:
    template = templates.template("edge, production")
    assert (
        at(
            template.resources["Files"].properties,
            "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled",
        )
        is True
    )
    told = template.resources["FilesChanged"].properties
    assert told["EventPattern"]["detail-type"] == ["Object Created", "Object Deleted"]
    assert [one.id for one in template.behind(told["Targets"])] == ["Files", "AlarmTopic"][1:]


# ---- The page


class Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


PAGES = sorted(DOWNLOAD.glob("*.html"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_obeys_the_policy_it_is_sent_with(path: Path) -> None:
    """No script, no style within, nothing from elsewhere: the Content-Security-Policy would break it."""
    page = Page(path)
    names = {name for name, _ in page.tags}
    assert names.isdisjoint({"script", "style", "form", "iframe", "object", "embed", "base", "img"})
    for _, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key == "style"]
        for key in ("href", "src"):
            target = attributes.get(key)
            assert target is None or re.fullmatch(r"/[A-Za-z0-9._/-]+", target)
    assert page.of("link") == [{"rel": "stylesheet", "href": "/style.css"}]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_can_be_read_by_everybody(path: Path) -> None:
    page = Page(path)
    assert page.of("html")[0].get("lang")
    assert page.of("html")[0].get("dir") in {"ltr", "rtl"}
    assert len(page.of("h1")) == len(page.of("main")) == len(page.of("title")) == 1
    assert all(attributes.get("scope") for attributes in page.of("th"))
    assert all(attributes.get("aria-label") for attributes in page.of("nav"))


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_language_says_the_same(name: str) -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    page, text = Page(DOWNLOAD / name), (DOWNLOAD / name).read_text(encoding="utf-8")
    html = page.of("html")[0]
    assert (html["lang"], html["dir"]) == LANGUAGES[name]
    assert [link["href"] for link in page.of("a")] == [
        *[f"/{other}" for other in LANGUAGES],
        f"/releases/{version}/health-helper-{version}-linux-x86_64.tar.gz",
        f"/releases/{version}/health-helper-{version}-windows-x86_64.zip",
        f"/releases/{version}/health-helper-{version}-macos-arm64.zip",
        f"/releases/{version}/SHA256SUMS",
    ]
    current = [link["href"] for link in page.of("a") if link.get("aria-current") == "page"]
    assert current == [f"/{name}"]
    for command in ("sha256sum --check", "Get-FileHash", "shasum -a 256"):
        assert command in text
    assert version in "".join(page.text)


def test_the_page_for_what_is_missing_is_there() -> None:
    """CloudFront is told of it by name."""
    pages = [one["ResponsePagePath"] for one in distribution("edge, production")["CustomErrorResponses"]]
    assert pages == ["/missing.html"]
    assert (DOWNLOAD / "missing.html").exists()
    assert all(
        (DOWNLOAD / link["href"].removeprefix("/")).exists()
        for link in Page(DOWNLOAD / "missing.html").of("a")
        if link["href"]
    )
