"""Events: a FIFO queue and the one for what nobody could consume."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from deploy.cdk.site import Site

#: Deliveries of one event before it is set aside.
RECEIVES_MAX = 5

#: How long a consumer may take with what it received.
VISIBILITY = Duration.seconds(60)


class Events(Stack):
    """The queues of one region, what the switch may do there and what consumers may."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        site: Site,
        key: kms.IKey,
        switch: iam.Role,
        **stack: Any,
    ):
        """Make them; `switch` may send."""
        super().__init__(scope, name, **stack)
        self.dead = self._queue("Dead", f"{site.name}-events-dead.fifo", key)
        self.queue = self._queue(
            "Queue",
            f"{site.name}-events.fifo",
            key,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead, max_receive_count=RECEIVES_MAX),
        )
        self._may(
            "Publisher",
            key,
            queue_actions=["sqs:GetQueueAttributes", "sqs:SendMessage"],
            key_actions=["kms:Decrypt", "kms:GenerateDataKey"],
            roles=[switch],
        )
        consumer = self._may(
            "Consumer",
            key,
            queue_actions=[
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
            ],
            key_actions=["kms:Decrypt"],
            roles=[],
        )
        CfnOutput(self, "QueueUrl", value=self.queue.queue_url)
        CfnOutput(self, "DeadQueueUrl", value=self.dead.queue_url)
        CfnOutput(self, "ConsumerPolicy", value=consumer.managed_policy_arn)

    def _queue(self, name: str, queue_name: str, key: kms.IKey, **queue: Any) -> sqs.Queue:
        return sqs.Queue(
            self,
            name,
            queue_name=queue_name,
            fifo=True,
            # In order by account, and as fast as there are accounts.
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
            content_based_deduplication=False,  # the event's own id says what is the same
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            visibility_timeout=VISIBILITY,
            removal_policy=RemovalPolicy.RETAIN,
            **queue,
        )

    def _may(
        self,
        name: str,
        key: kms.IKey,
        *,
        queue_actions: list[str],
        key_actions: list[str],
        roles: list[iam.Role],
    ) -> iam.ManagedPolicy:
        return iam.ManagedPolicy(
            self,
            name,
            roles=roles,
            statements=[
                iam.PolicyStatement(
                    sid="Queue", actions=queue_actions, resources=[self.queue.queue_arn]
                ),
                iam.PolicyStatement(
                    sid="QueueKey",
                    actions=key_actions,
                    resources=[key.key_arn],
                    conditions={
                        "StringEquals": {"kms:ViaService": f"sqs.{self.region}.amazonaws.com"}
                    },
                ),
            ],
        )
