"""The database's passwords: made here, changed by Secrets Manager, known to nobody."""

from __future__ import annotations

import json

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from deploy.cdk.site import Site

DATABASE = "switch"

#: The server's own administrator, the owner who migrates, and who serves (docs/database.md).
MASTER, OWNER, SERVING = "switch_master", "switch_owner", "switch"


class DatabaseSecrets(Construct):
    """
    Three secrets and how each is changed.

    Who serves has two roles that take turns: the password of the one that a pod started with is
    good until the change after the next, so that pods have a whole period to start anew. A token
    of IAM would be good for fifteen minutes, and the switch connects anew whenever it must.
    """

    def __init__(
        self, scope: Construct, name: str, *, site: Site, key: kms.IKey, replica_key_arn: str | None
    ):
        """Make them; they are copied to the standby where it has a key for them."""
        super().__init__(scope, name)
        self._site, self._key = site, key
        self._replicas = (
            [
                secretsmanager.ReplicaRegion(
                    region=site.standby.name,
                    encryption_key=kms.Key.from_key_arn(self, "Replica", replica_key_arn),
                )
            ]
            if replica_key_arn
            else []
        )
        self.master = self._secret("Master", MASTER)
        self.owner = self._secret("Owner", OWNER, self.master)
        self.serving = self._secret("Serving", SERVING, self.master)

    def rotate(self, cluster: str, network: ec2.IVpc, group: ec2.ISecurityGroup) -> None:
        """Write the cluster's address into each, and change each every thirty days."""
        where = {
            "vpc": network,
            "vpc_subnets": ec2.SubnetSelection(subnet_group_name="pods"),
            "security_groups": [group],
            "exclude_characters": EXCLUDED,
        }
        hosted = secretsmanager.HostedRotation
        for name, secret, rotation in (
            ("Master", self.master, hosted.postgre_sql_single_user(**where)),
            ("Owner", self.owner, hosted.postgre_sql_single_user(**where)),
            (
                "Serving",
                self.serving,
                hosted.postgre_sql_multi_user(master_secret=self.master, **where),
            ),
        ):
            attached = secretsmanager.CfnSecretTargetAttachment(
                self,
                f"{name}Attachment",
                secret_id=secret.secret_arn,
                target_id=cluster,
                target_type="AWS::RDS::DBCluster",
            )
            schedule = secret.add_rotation_schedule(
                "Rotation",
                hosted_rotation=rotation,
                automatically_after=Duration.days(30),
                rotate_immediately_on_update=False,
            )
            schedule.node.add_dependency(attached)

    def _secret(
        self, name: str, user: str, master: secretsmanager.Secret | None = None
    ) -> secretsmanager.Secret:
        told = {"username": user, "dbname": DATABASE}
        if master is not None:
            told["masterarn"] = master.secret_arn
        return secretsmanager.Secret(
            self,
            name,
            secret_name=f"{self._site.name}/database/{user}",
            encryption_key=self._key,
            replica_regions=self._replicas,
            removal_policy=RemovalPolicy.RETAIN,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps(told),
                generate_string_key="password",
                password_length=40,
                exclude_punctuation=True,  # it stands in a URL
            ),
        )


#: What a rotated password must not have either: all that a URL would have to escape.
EXCLUDED = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
