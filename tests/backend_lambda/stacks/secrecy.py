"""What nobody else reads: encrypted where it lies and on its way, and behind doors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.backend_lambda.stacks.reading import (
    KEYS,
    SEVEN_YEARS_DAYS,
    Broken,
    allows,
    at,
    is_anybody,
    policies_of,
    rule,
    several,
    statements,
    variables,
)
from tests.backend_lambda.stacks.templates import ACCOUNT, Resource, Template, named

_AT_REST: Mapping[str, tuple[str, ...]] = {
    "AWS::S3::Bucket": (
        "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.KMSMasterKeyID",
    ),
    "AWS::RDS::DBInstance": ("StorageEncrypted", "KmsKeyId", "PerformanceInsightsKMSKeyId"),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::SecretsManager::Secret": ("KmsKeyId",),
    "AWS::Lambda::Function": ("KmsKeyArn",),
    "AWS::Kinesis::Stream": ("StreamEncryption.KeyId",),
    "AWS::KinesisFirehose::DeliveryStream": ("DeliveryStreamEncryptionConfigurationInput.KeyARN",),
    "AWS::ElastiCache::ReplicationGroup": ("AtRestEncryptionEnabled", "KmsKeyId"),
    "AWS::ElastiCache::ServerlessCache": ("KmsKeyId",),
    "AWS::S3Vectors::VectorBucket": ("EncryptionConfiguration.KmsKeyArn",),
    "AWS::S3Vectors::Index": ("EncryptionConfiguration.KmsKeyArn",),
    "AWS::CloudTrail::Trail": ("KMSKeyId",),
    "AWS::DynamoDB::Table": ("SSESpecification.SSEEnabled", "SSESpecification.KMSMasterKeyId"),
    "AWS::Bedrock::Guardrail": ("KmsKeyArn",),
    "AWS::Backup::BackupVault": ("EncryptionKeyArn",),
    "AWS::HealthLake::FHIRDatastore": ("SseConfiguration.KmsEncryptionConfig.KmsKeyId",),
    "AWS::Events::EventBus": ("KmsKeyIdentifier",),
    "AWS::EFS::FileSystem": ("Encrypted", "KmsKeyId"),
    "AWS::StepFunctions::StateMachine": ("EncryptionConfiguration.KmsKeyId",),
}


def _takes_access_logs(template: Template, bucket: Resource) -> bool:
    """S3 writes access logs only into buckets with keys of its own (SSE-S3)."""
    return any(
        bucket.id in named(other.properties.get("LoggingConfiguration", {}).get("DestinationBucketName"))
        for other in template.of("AWS::S3::Bucket")
        if other.id != bucket.id
    )


@rule
def everything_is_encrypted_at_rest(template: Template) -> Iterator[Broken]:
    """With our own key, so that we say who reads and can take it away."""
    for one in template.of(*_AT_REST):
        if one.type == "AWS::S3::Bucket" and _takes_access_logs(template, one):
            how = at(
                one.properties,
                "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.SSEAlgorithm",
            )
            if how != "AES256":
                yield one.id, "is not encrypted"
            continue
        is_copy = "SourceDBInstanceIdentifier" in one.properties
        is_local_copy = bool(template.behind(one.properties.get("SourceDBInstanceIdentifier")))
        for path in _AT_REST[one.type]:
            value = at(one.properties, path)
            if (path == "StorageEncrypted" and is_copy) or (path == "KmsKeyId" and is_local_copy):
                continue  # as its source is; in another region it needs a key of its own
            if not (value is True or _is_our_key(template, value)):
                yield one.id, f"has no key of ours at {path}"


def _is_our_key(template: Template, value: Any) -> bool:
    return any(one.type in KEYS for one in template.behind(value)) or (
        isinstance(value, str) and re.fullmatch(r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/.+", value) is not None
    )


@rule
def keys_rotate(template: Template) -> Iterator[Broken]:
    """A key that stands for years protects more and more. KMS cannot rotate one that signs."""
    for key in template.of("AWS::KMS::Key"):
        is_symmetric = key.properties.get("KeySpec", "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT"
        if is_symmetric and key.properties.get("EnableKeyRotation") is not True:
            yield key.id, "does not rotate"
        if int(key.properties.get("PendingWindowInDays", 30)) < 30:
            yield key.id, "is gone in less than 30 days"


def _denies_plain(statement: Mapping[str, Any]) -> bool:
    test = statement.get("Condition", {}).get("Bool", {})
    return (
        statement.get("Effect") == "Deny"
        and is_anybody(statement.get("Principal"))
        and str(test.get("aws:SecureTransport")).lower() == "false"
    )


_GUARDED = {
    "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "Bucket", "s3:*"),
    "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues", "sqs:*"),
    "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics", "sns:Publish"),
}


@rule
def only_tls_is_spoken(template: Template) -> Iterator[Broken]:
    """What goes over a wire in the clear is read on the way."""
    for one in template.of(*_GUARDED):
        kind, whose, action = _GUARDED[one.type]
        denied = [
            statement
            for policy in template.of(kind)
            if one.id in named(policy.properties.get(whose))
            for statement in statements(policy.properties.get("PolicyDocument"))
            if _denies_plain(statement) and several(statement.get("Action")) in ([action], ["*"])
        ]
        resources = [resource for statement in denied for resource in several(statement.get("Resource"))]
        if not any(one.id in named(resource) for resource in resources):
            yield one.id, "takes requests without TLS"
        elif one.type == "AWS::S3::Bucket" and not any(resource.endswith("/*") for resource in resources):
            yield one.id, "gives objects without TLS"
    for one in template.of("AWS::RDS::DBInstance"):
        for group in template.behind(one.properties.get("DBParameterGroupName")):
            if str(group.properties.get("Parameters", {}).get("rds.force_ssl")) != "1":
                yield one.id, "takes connections without TLS"
        if not template.behind(one.properties.get("DBParameterGroupName")):
            yield one.id, "has no parameters of ours"
    for one in template.of("AWS::RDS::DBProxy"):
        if one.properties.get("RequireTLS") is not True:
            yield one.id, "takes connections without TLS"
    for one in template.of("AWS::ElastiCache::ReplicationGroup"):
        if one.properties.get("TransitEncryptionEnabled") is not True:
            yield one.id, "takes connections without TLS"
    for one in template.of("AWS::ApiGateway::DomainName", "AWS::ApiGateway::RestApi"):
        policy = str(one.properties.get("SecurityPolicy", ""))
        if not (policy == "TLS_1_2" or policy.startswith("SecurityPolicy_TLS13_")):
            yield one.id, "takes TLS older than 1.2"
    for one in template.of("AWS::CloudFront::Distribution"):
        yield from _distribution_tls(template, one)


def _distribution_tls(template: Template, one: Resource) -> Iterator[Broken]:
    settings = one.properties["DistributionConfig"]
    for behaviour in [settings["DefaultCacheBehavior"], *settings.get("CacheBehaviors", ())]:
        if behaviour.get("ViewerProtocolPolicy") not in {"https-only", "redirect-to-https"}:
            yield one.id, "answers without TLS"
    certificate = settings.get("ViewerCertificate", {})
    is_bound = "AcmCertificateArn" in certificate
    if is_bound and certificate.get("MinimumProtocolVersion") not in {
        "TLSv1.2_2021",
        "TLSv1.2_2025",
        "TLSv1.3_2025",
    }:
        yield one.id, "takes TLS older than 1.2"
    if template.is_production and not is_bound:
        yield one.id, "takes TLS older than 1.2, as CloudFront's own name does"


@rule
def urls_of_the_database_verify(template: Template) -> Iterator[Broken]:
    """TLS without a verified name protects from nobody who can answer in its place."""
    for function in template.of("AWS::Lambda::Function"):
        for name, value in variables(function).items():
            if str(value).startswith("postgresql:") and "sslmode=verify-full" not in value:
                yield function.id, f"{name} does not verify the server"
            if str(value).startswith("redis:"):
                yield function.id, f"{name} speaks in the clear"


# ---- Nothing public


@rule
def buckets_are_private(template: Template) -> Iterator[Broken]:
    """Patients' documents have been found in open buckets before."""
    for bucket in template.of("AWS::S3::Bucket"):
        block = bucket.properties.get("PublicAccessBlockConfiguration", {})
        for part in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
            if block.get(part) is not True:
                yield bucket.id, f"does not say {part}"
        if "AccessControl" in bucket.properties or "WebsiteConfiguration" in bucket.properties:
            yield bucket.id, "has an access list, or is a website"
        if at(bucket.properties, "OwnershipControls.Rules.0.ObjectOwnership") != "BucketOwnerEnforced":
            yield bucket.id, "lets others own what is in it"


@rule
def buckets_keep_versions(template: Template) -> Iterator[Broken]:
    """What was overwritten by mistake or by malice can be brought back, for a while."""
    for bucket in template.of("AWS::S3::Bucket"):
        if at(bucket.properties, "VersioningConfiguration.Status") != "Enabled":
            yield bucket.id, "keeps no versions"
        rules = at(bucket.properties, "LifecycleConfiguration.Rules") or []
        if not any("AbortIncompleteMultipartUpload" in one for one in rules):
            yield bucket.id, "keeps broken uploads for ever"


@rule
def audit_is_locked(template: Template) -> Iterator[Broken]:
    """In production nobody takes the audit away before its years are over (§ 164.316(b)(2): six; here seven)."""
    for bucket in template.of("AWS::S3::Bucket"):
        if not bucket.id.startswith("Audit") or not template.is_production:
            continue
        kept = at(bucket.properties, "ObjectLockConfiguration.Rule.DefaultRetention") or {}
        if (
            bucket.properties.get("ObjectLockEnabled") is not True
            or kept.get("Mode") != "COMPLIANCE"
            or int(kept.get("Days", 0)) < SEVEN_YEARS_DAYS
        ):
            yield bucket.id, "is not locked for seven years"


@rule
def databases_are_private_and_kept(template: Template) -> Iterator[Broken]:
    """A database answers to our functions only, signs in by IAM, and comes back after a loss."""
    for one in template.of("AWS::RDS::DBInstance"):
        facts = one.properties
        if facts.get("PubliclyAccessible") is not False:
            yield one.id, "has an address in the internet"
        if facts.get("EnableIAMDatabaseAuthentication") is not True:
            yield one.id, "does not take IAM's sign-in"
        if template.is_production:
            is_copy = (
                one.id != "Database" and "SourceDBInstanceIdentifier" in facts
            )  # a standby's may become the writer
            if facts.get("MultiAZ") is not True:
                yield one.id, "stands in one zone"
            if facts.get("DeletionProtection") is not True:
                yield one.id, "can be deleted by one click"
            if not is_copy and int(facts.get("BackupRetentionPeriod", 0)) < 14:
                yield one.id, "has backups of less than two weeks"
        password = str(facts.get("MasterUserPassword", ""))
        if password and not password.startswith("{{resolve:secretsmanager:"):
            yield one.id, "has a password in the template"
    for proxy in template.of("AWS::RDS::DBProxy"):
        if any(auth.get("IAMAuth") != "REQUIRED" for auth in proxy.properties.get("Auth", ())):
            yield proxy.id, "takes passwords"
        if proxy.properties.get("DebugLogging") is not False:
            yield proxy.id, "may write statements into its log"


_EVERYWHERE = {"0.0.0.0/0", "::/0"}


def _gates(template: Template) -> Iterator[tuple[Resource, str, Mapping[str, Any]]]:
    """Who, "in" or "out", and the rule."""
    for one in template.of("AWS::EC2::SecurityGroup"):
        for gate in one.properties.get("SecurityGroupIngress", ()):
            yield one, "in", gate
        for gate in one.properties.get("SecurityGroupEgress", ()):
            yield one, "out", gate
    for one in template.of("AWS::EC2::SecurityGroupIngress"):
        yield one, "in", one.properties
    for one in template.of("AWS::EC2::SecurityGroupEgress"):
        yield one, "out", one.properties


def _ways_out(template: Template, subnet: str) -> Iterator[str]:
    """Routes of a subnet that lead to the whole internet."""
    for link in template.of("AWS::EC2::SubnetRouteTableAssociation"):
        if subnet in named(link.properties.get("SubnetId")):
            for route in template.of("AWS::EC2::Route"):
                is_its = set(named(route.properties["RouteTableId"])) & set(
                    named(link.properties["RouteTableId"])
                )
                if is_its and {str(value) for value in route.properties.values()} & _EVERYWHERE:
                    yield route.id


_APART = {"ProcessingFunction", "MigrationFunction", "AuditHeadsFunction", "AuditVerifyFunction"}
"""They look into strangers' files, or hold the owner's or the auditor's sign-in."""


@rule
def what_holds_data_has_no_way_out(template: Template) -> Iterator[Broken]:
    """Neither a database nor a process that opens strangers' files can send anything to the internet."""
    homes = [(one, one.properties.get("SubnetIds")) for one in template.of("AWS::RDS::DBSubnetGroup")]
    homes += [(one, one.properties.get("VpcSubnetIds")) for one in template.of("AWS::RDS::DBProxy")]
    homes += [
        (one, at(one.properties, "VpcConfig.SubnetIds") or "nowhere")
        for one in template.of("AWS::Lambda::Function")
        if one.id in _APART
    ]
    for one, where in homes:
        ways = [way for subnet in named(where) for way in _ways_out(template, subnet)]
        if ways or where == "nowhere":
            yield one.id, f"reaches the internet by {', '.join(ways) or 'having no network'}"
    for subnet in template.of("AWS::EC2::Subnet"):
        if subnet.properties.get("MapPublicIpOnLaunch") is True:
            yield subnet.id, "gives addresses in the internet"


@rule
def secrets_change(template: Template) -> Iterator[Broken]:
    """A password that never changes is one day known."""
    for secret in template.of("AWS::SecretsManager::Secret"):
        turns = [
            one
            for one in template.of("AWS::SecretsManager::RotationSchedule")
            if secret.id in named(one.properties["SecretId"])
        ]
        if not any(at(one.properties, "RotationRules.ScheduleExpression") for one in turns):
            yield secret.id, "does not change by itself"
    writes = {name for one in template.of("AWS::RDS::DBProxyTargetGroup") for name in named(one.properties)}
    for proxy in template.of("AWS::RDS::DBProxy"):
        turned = [one.properties["SecretId"] for one in template.of("AWS::SecretsManager::RotationSchedule")]
        for auth in proxy.properties.get("Auth", ()) if proxy.id in writes else ():
            if not template.behind(auth["SecretArn"]) and auth["SecretArn"] not in turned:
                yield proxy.id, "signs in with a password that does not change by itself"


@rule
def copies_of_secrets_are_under_our_key(template: Template) -> Iterator[Broken]:
    """Where a key of ours is known in the other region. Without one the copy is under AWS's."""
    for secret in template.of("AWS::SecretsManager::Secret"):
        for copy in secret.properties.get("ReplicaRegions", ()):
            if template.given.get("OtherDataKeyArn") and not _is_our_key(template, copy.get("KmsKeyId")):
                yield secret.id, f"its copy in {copy.get('Region')} has no key of ours"


def _copies(template: Template) -> set[str]:
    """Buckets elsewhere that hold copies of the patients' documents: where they are copied to, and where they were before a failover."""
    bucket = template.resources.get("DocumentsBucket")
    rules = at(bucket.properties, "ReplicationConfiguration.Rules") or [] if bucket else []
    found = {str(at(one, "Destination.Bucket")) for one in rules}
    if template.given.get("RegionRole") == "promoted" and template.given.get("OtherRegion"):
        found.add(f"arn:aws:s3:::health-helper-documents-{ACCOUNT}-{template.given['OtherRegion']}")
    return found


@rule
def persons_are_erased_everywhere(template: Template) -> Iterator[Broken]:
    """Art. 17 GDPR is for every copy, also for the one that a failover has left behind."""
    for copy in _copies(template):
        for api in template.of("AWS::Lambda::Function"):
            if api.id != "ApiFunction":
                continue
            name, region = copy.removeprefix("arn:aws:s3:::"), template.given["OtherRegion"]
            if variables(api).get("HH_DOCUMENTS_COPY") != f"{name}@{region}":
                yield api.id, f"does not know of {name}"
            may = {
                (action, resource)
                for role in template.behind(api.properties.get("Role"))
                for statement in policies_of(template, role)
                if allows(statement)
                for action in several(statement.get("Action"))
                for resource in several(statement.get("Resource"))
            }
            needed = {(f"s3:{action}", f"{copy}/*") for action in ("DeleteObject", "DeleteObjectVersion")}
            for action, resource in sorted({*needed, ("s3:ListBucketVersions", copy)} - may):
                yield api.id, f"may not {action} of {resource}"


@rule
def gates_are_narrow(template: Template) -> Iterator[Broken]:
    """In: never from everywhere. Out: to everywhere only HTTPS, else to what is named."""
    for one, way, gate in _gates(template):
        is_open = bool({gate.get("CidrIp"), gate.get("CidrIpv6")} & _EVERYWHERE)
        ports = (gate.get("FromPort"), gate.get("ToPort"))
        if way == "in" and is_open:
            yield one.id, "lets everybody in"
        if way == "out" and is_open and (gate.get("IpProtocol") != "tcp" or ports != (443, 443)):
            yield one.id, "lets more than HTTPS out"
        if str(gate.get("IpProtocol")) == "-1" or (gate.get("IpProtocol") == "tcp" and ports[0] != ports[1]):
            yield one.id, f"opens more than one port {way}"
        if not gate.get("Description"):
            yield one.id, "does not say what for"
    for one in template.of("AWS::EC2::SecurityGroup"):
        apart = [
            gate
            for gate in template.of("AWS::EC2::SecurityGroupEgress")
            if one.id in named(gate.properties.get("GroupId"))
        ]
        if not one.properties.get("SecurityGroupEgress") and not apart:
            yield one.id, "lets everything out, which is what no list means"


_MANAGED = {
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesAmazonIpReputationList",
}


@rule
def a_firewall_stands_before(template: Template) -> Iterator[Broken]:
    """Known attacks and floods are refused before they cost anything: always at the edge, in production at the API."""
    for stage in template.of("AWS::ApiGateway::Stage"):
        guarded = any(
            set(named(one.properties.get("ResourceArn")))
            & {stage.id, *named(stage.properties.get("RestApiId"))}
            for one in template.of("AWS::WAFv2::WebACLAssociation")
        )
        if template.is_production and not guarded:
            yield stage.id, "has no firewall"
    for distribution in template.of("AWS::CloudFront::Distribution"):
        if not template.behind(distribution.properties["DistributionConfig"].get("WebACLId")):
            yield distribution.id, "has no firewall"
    for wall in template.of("AWS::WAFv2::WebACL"):
        rules = wall.properties["Rules"]
        groups = {
            at(one, "Statement.ManagedRuleGroupStatement.Name")
            for one in rules
            if one.get("OverrideAction") == {"None": {}}
        }
        for missing in sorted(_MANAGED - groups):
            yield wall.id, f"does not use {missing}"
        if not any(
            at(one, "Statement.RateBasedStatement.Limit") and "Block" in one.get("Action", {})
            for one in rules
        ):
            yield wall.id, "lets one address ask without end"
