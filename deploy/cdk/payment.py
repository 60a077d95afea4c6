"""The payment keys and their aliases, and what the switch may ask of them."""

from __future__ import annotations

from aws_cdk import CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_paymentcryptography as payment
from constructs import Construct

from deploy.cdk.acknowledged import acknowledge
from deploy.cdk.payment_keys import ACTIONS, MADE_KEYS, PAYMENT_KEYS, PaymentKey
from deploy.cdk.site import Region, Site


class PaymentKeys(Construct):
    """
    Made in the primary and copied by the service; in the standby there are only the aliases.

    A key that a scheme or another HSM brings cannot be made here: it `is_brought`, and is imported
    by hand and given its alias (docs/deploy.md).
    """

    def __init__(self, scope: Construct, name: str, *, site: Site, region: Region):
        """Make what belongs to the region."""
        super().__init__(scope, name)
        stack = Stack.of(self)
        self._arn = f"arn:aws:payment-cryptography:{region.name}:{site.account}"
        for key in MADE_KEYS:
            if not region.is_primary:
                self._alias(key, f"{self._arn}:key/{site.standby_keys[key.name]}")
                continue
            made = self._key(key, site.standby.name)
            self._alias(key, made.attr_key_identifier)
            CfnOutput(stack, _camel(key.name), value=made.attr_key_identifier)

    def allow(self, switch: iam.Role) -> None:
        """Let a role ask, by alias, so that imported keys and replicas need no list of ids."""
        aliases = [key.alias for key in PAYMENT_KEYS]
        resources = [f"{self._arn}:key/*", f"{self._arn}:alias/*"]
        switch.add_to_policy(
            iam.PolicyStatement(
                sid="AskPaymentKeys",
                actions=list(ACTIONS),
                resources=resources,
                conditions={
                    "ForAnyValue:StringEquals": {"payment-cryptography:ResourceAliases": aliases}
                },
            )
        )
        acknowledge(
            switch,
            "The condition names the aliases; a key that a scheme brings has no id yet",
            *(f"AwsSolutions-IAM5[Resource::{resource}]" for resource in resources),
        )

    def _key(self, key: PaymentKey, standby: str) -> payment.CfnKey:
        modes = {_snake(mode): True for mode in key.modes}
        made = payment.CfnKey(
            self,
            _camel(key.name),
            exportable=True,  # to who shares it, as a key block: who makes the cards, a scheme
            enabled=True,
            key_attributes=payment.CfnKey.KeyAttributesProperty(
                key_usage=key.usage,
                key_algorithm=key.algorithm,
                key_class="SYMMETRIC_KEY",
                key_modes_of_use=payment.CfnKey.KeyModesOfUseProperty(**modes),
            ),
            key_check_value_algorithm="ANSI_X9_24",
            replication_regions=[standby],
        )
        made.apply_removal_policy(RemovalPolicy.RETAIN)
        return made

    def _alias(self, key: PaymentKey, arn: str) -> None:
        payment.CfnAlias(self, f"{_camel(key.name)}Alias", alias_name=key.alias, key_arn=arn)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _snake(name: str) -> str:
    """`DeriveKey` as CDK spells it: `derive_key`."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).removeprefix("_")
