"""Where schemes come in: fixed addresses, TCP passed through, each scheme to its own port.

TLS ends in the switch, which compares the scheme's certificate itself. So this is no place for a
certificate, and what arrives is what was sent.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

from deploy.cdk.acknowledged import acknowledge
from deploy.cdk.compute import Compute
from deploy.cdk.network import Network
from deploy.cdk.site import Region, Scheme, Site

#: The admin port: `/readyz` asks no token, and says no while the switch drains.
ADMIN_PORT = 8580

#: As long as a pod that stops may take (the chart's grace period): until then its connections live.
DRAIN = Duration.seconds(60)


class Edge(Stack):
    """The load balancer of one region."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        site: Site,
        region: Region,
        network: Network,
        compute: Compute,
        **stack: Any,
    ):
        """Make it; pods join its target groups by the chart's TargetGroupBinding."""
        super().__init__(scope, name, **stack)
        self._compute = compute
        self.group = ec2.SecurityGroup(
            self,
            "Schemes",
            vpc=network.vpc,
            description="Addresses of the schemes, each to its port",
            allow_all_outbound=False,
        )
        self.balancer = self._balancer(site, network)
        self.targets = {scheme.name: self._scheme(scheme, network) for scheme in site.schemes}
        self._to_pods("Health", ADMIN_PORT)

    def _balancer(self, site: Site, network: Network) -> elb.NetworkLoadBalancer:
        subnets = network.vpc.select_subnets(subnet_group_name="edge").subnets
        mappings = []
        for index, subnet in enumerate(subnets):
            address = ec2.CfnEIP(self, f"Address{index}", domain="vpc")
            address.apply_removal_policy(RemovalPolicy.RETAIN)  # schemes have it on their lists
            CfnOutput(self, f"Address{index}Out", value=address.ref, key=f"Address{index}")
            mappings.append(
                elb.SubnetMapping(subnet=subnet, allocation_id=address.attr_allocation_id)
            )
        balancer = elb.NetworkLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            internet_facing=True,
            subnet_mappings=mappings,
            security_groups=[self.group],
            cross_zone_enabled=True,
            deletion_protection=True,
        )
        acknowledge(
            balancer,
            "A load balancer logs TLS that it ends itself, and this one ends none; flow logs tell",
            "AwsSolutions-ELB2",
            "PCI.DSS.321-ELBLoggingEnabled",
        )
        return balancer

    def _scheme(self, scheme: Scheme, network: Network) -> elb.NetworkTargetGroup:
        for source in scheme.networks:
            self.group.add_ingress_rule(
                ec2.Peer.ipv4(source), ec2.Port.tcp(scheme.port), scheme.name
            )
        self._to_pods(f"To{scheme.name.capitalize()}", scheme.port)
        targets = elb.NetworkTargetGroup(
            self,
            f"Targets{scheme.name.capitalize()}",
            vpc=network.vpc,
            target_type=elb.TargetType.IP,
            protocol=elb.Protocol.TCP,
            port=scheme.port,
            preserve_client_ip=True,  # links[].peers looks at it
            proxy_protocol_v2=False,
            connection_termination=False,
            deregistration_delay=DRAIN,
            health_check=elb.HealthCheck(
                protocol=elb.Protocol.HTTPS,
                port=f"{ADMIN_PORT}",
                path="/readyz",
                interval=Duration.seconds(5),
                timeout=Duration.seconds(4),
                healthy_threshold_count=2,
                unhealthy_threshold_count=2,
            ),
        )
        # Auto Mode touches only what bears the cluster's name.
        Tags.of(targets).add("eks:eks-cluster-name", self._compute.cluster.cluster_name)
        listener = self.balancer.add_listener(
            f"Listen{scheme.name.capitalize()}",
            port=scheme.port,
            protocol=elb.Protocol.TCP,
            default_target_groups=[targets],
        )
        acknowledge(
            listener,
            "TCP passes through: the switch itself ends mutual TLS and compares the certificate",
            "PCI.DSS.321-ELBv2ACMCertificateRequired",
        )
        CfnOutput(self, f"TargetGroup{scheme.name.capitalize()}", value=targets.target_group_arn)
        return targets

    def _to_pods(self, name: str, port: int) -> None:
        pods = self._compute.cluster.cluster_security_group_id
        self.group.add_egress_rule(ec2.Peer.security_group_id(pods), ec2.Port.tcp(port), name)
        ec2.CfnSecurityGroupIngress(
            self,
            f"{name}Ingress",
            group_id=pods,
            source_security_group_id=self.group.security_group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description="load balancer",
        )
