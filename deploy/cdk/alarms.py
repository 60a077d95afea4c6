"""What AWS sees and somebody must know. What the switch sees itself are Prometheus' alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from deploy.cdk.compute import Compute
from deploy.cdk.data import Data
from deploy.cdk.edge import Edge
from deploy.cdk.events import Events
from deploy.cdk.site import Region, Site

_GIB = 1024**3

_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


@dataclass(frozen=True)
class Alarm:
    """One figure of CloudWatch, and when it is wrong."""

    name: str
    namespace: str
    metric: str
    of: Mapping[str, str]
    statistic: str
    threshold: float
    minutes: int
    means: str
    below: bool = False
    silence_is_fine: bool = True


class Alarms(Stack):
    """The alarms of one region, and whom they tell."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        site: Site,
        region: Region,
        key: kms.IKey,
        data: Data,
        events: Events,
        edge: Edge,
        compute: Compute,
        **stack: Any,
    ):
        """Make them; `key` enciphers the topic."""
        super().__init__(scope, name, **stack)
        self._name = f"{site.name}-{region.role}"
        self.topic = sns.Topic(
            self, "Topic", topic_name=self._name, master_key=key, enforce_ssl=True
        )
        self.topic.add_subscription(subscriptions.EmailSubscription(site.alarms_to))
        for alarm in (*_queues(events), *_database(data, region), *_edge(edge, region)):
            self._alarm(alarm)
        self._keys_near_quota()
        self._hsm_gone(compute)
        self._failovers(data)
        CfnOutput(self, "TopicArn", value=self.topic.topic_arn)

    def _alarm(self, alarm: Alarm) -> None:
        metric = cloudwatch.Metric(
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions_map=dict(alarm.of),
            statistic=alarm.statistic,
            period=Duration.minutes(1),
        )
        self._tell(alarm, metric)

    def _tell(self, alarm: Alarm, metric: cloudwatch.IMetric) -> None:
        silence = cloudwatch.TreatMissingData
        made = cloudwatch.Alarm(
            self,
            alarm.name,
            alarm_name=f"{self._name}-{alarm.name}",
            alarm_description=alarm.means,
            metric=metric,
            threshold=alarm.threshold,
            comparison_operator=_BELOW if alarm.below else _ABOVE,
            evaluation_periods=alarm.minutes,
            datapoints_to_alarm=alarm.minutes,
            treat_missing_data=silence.NOT_BREACHING
            if alarm.silence_is_fine
            else silence.BREACHING,
        )
        made.add_alarm_action(actions.SnsAction(self.topic))
        made.add_ok_action(actions.SnsAction(self.topic))

    def _keys_near_quota(self) -> None:
        """KMS refuses beyond its quota, which the whole account shares."""
        used = cloudwatch.Metric(
            namespace="AWS/Usage",
            metric_name="CallCount",
            dimensions_map={
                "Service": "KMS",
                "Type": "API",
                "Resource": "CryptographicOperationsSymmetric",
                "Class": "None",
            },
            statistic="Sum",
            period=Duration.minutes(1),
        )
        share = cloudwatch.MathExpression(
            expression="100 * (used / 60) / SERVICE_QUOTA(used)",
            using_metrics={"used": used},
            period=Duration.minutes(1),
        )
        means = "KMS is asked at 80 % of its quota: pods that start may be throttled"
        self._tell(Alarm("KmsQuota", "", "", {}, "", 80, 3, means), share)

    def _hsm_gone(self, compute: Compute) -> None:
        """Payment Cryptography counts nothing for CloudWatch; the switch's log tells instead."""
        opened = logs.MetricFilter(
            self,
            "BreakerOpened",
            log_group=compute.pod_log,
            filter_pattern=logs.FilterPattern.literal(
                '{ $.log_processed.event = "hsm_breaker" && $.log_processed.state = "open" }'
            ),
            metric_namespace=self._name,
            metric_name="HsmBreakerOpened",
            metric_value="1",
        )
        means = "Payment Cryptography is slow, gone or throttles: all that needs it is answered 91"
        self._tell(Alarm("HsmBreaker", "", "", {}, "", 0, 1, means), opened.metric(statistic="Sum"))

    def _failovers(self, data: Data) -> None:
        rds.CfnEventSubscription(
            self,
            "Failovers",
            sns_topic_arn=self.topic.topic_arn,
            source_type="db-cluster",
            source_ids=[data.cluster.ref],
            event_categories=["failover", "failure", "global-failover", "maintenance"],
        )


def _queues(events: Events) -> tuple[Alarm, ...]:
    queue, dead = ({"QueueName": made.queue_name} for made in (events.queue, events.dead))
    return (
        Alarm(
            "QueueAge", "AWS/SQS", "ApproximateAgeOfOldestMessage", queue, "Maximum", 300, 5,
            "An event has waited for five minutes: consumers are slow or gone",
        ),
        Alarm(
            "DeadEvents", "AWS/SQS", "ApproximateNumberOfMessagesVisible", dead, "Maximum", 0, 1,
            "An event could not be consumed: its account's balance is not what consumers believe",
        ),
    )  # fmt: skip


def _database(data: Data, region: Region) -> tuple[Alarm, ...]:
    of = {"DBClusterIdentifier": data.identifier}
    alarms = (
        Alarm(
            "DatabaseBusy", "AWS/RDS", "CPUUtilization", of, "Maximum", 70, 5,
            "The writer has little left: a larger instance, or fewer questions",
        ),
        Alarm(
            "DatabaseLag", "AWS/RDS", "AuroraReplicaLagMaximum", of, "Maximum", 1_000, 5,
            "Readers are a second behind: a failover would take longer",
        ),
        Alarm(
            "DatabaseDisk", "AWS/RDS", "FreeLocalStorage", of, "Minimum", 5 * _GIB, 5,
            "Little is left for sorting and logs", below=True,
        ),
        Alarm(
            "DatabaseMemory", "AWS/RDS", "FreeableMemory", of, "Minimum", _GIB, 5,
            "Little memory is left", below=True,
        ),
    )  # fmt: skip
    if region.is_primary:
        return alarms
    behind = Alarm(
        "RegionLag", "AWS/RDS", "AuroraGlobalDBRPOLag", of, "Maximum", 5_000, 5,
        "The standby is five seconds behind: that much would be lost with the primary's region",
    )  # fmt: skip
    return (*alarms, behind)


def _edge(edge: Edge, region: Region) -> tuple[Alarm, ...]:
    alarms = []
    for scheme, targets in edge.targets.items():
        of = {
            "LoadBalancer": edge.balancer.load_balancer_full_name,
            "TargetGroup": targets.target_group_full_name,
        }
        unready = Alarm(
            f"Unready{scheme.capitalize()}", "AWS/NetworkELB", "UnHealthyHostCount", of,
            "Maximum", 0, 5, "A pod is not ready for five minutes",
        )  # fmt: skip
        alarms.append(unready)
        if region.is_primary:  # the standby has no pods until it is needed
            alone = Alarm(
                f"Alone{scheme.capitalize()}", "AWS/NetworkELB", "HealthyHostCount", of,
                "Minimum", 2, 2, "Fewer than two pods are ready", below=True, silence_is_fine=False,
            )  # fmt: skip
            alarms.append(alone)
    return tuple(alarms)
