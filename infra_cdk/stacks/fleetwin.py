"""The one stack of a stage: the whole way of a reading, from the topic to the alert."""

from __future__ import annotations

from aws_cdk import App, CfnParameter, DefaultStackSynthesizer, Stack

from infra_cdk.config import StageConfig
from infra_cdk.constructs.alarms import Alarms
from infra_cdk.constructs.alerting import Alerting
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.automation import Automation
from infra_cdk.constructs.batch import BatchScoring
from infra_cdk.constructs.catalog import Catalog
from infra_cdk.constructs.compaction import Compaction
from infra_cdk.constructs.dashboard import Dashboard
from infra_cdk.constructs.devices import Devices
from infra_cdk.constructs.etl import FeaturesJob
from infra_cdk.constructs.governance import Governance
from infra_cdk.constructs.ingestion import Detector, RawWriter
from infra_cdk.constructs.kept import KeptRecords
from infra_cdk.constructs.lake import Lake
from infra_cdk.constructs.log_groups import JobLogs
from infra_cdk.constructs.maintenance import MaintenanceLog
from infra_cdk.constructs.monitoring import Monitoring
from infra_cdk.constructs.nightly import Nightly
from infra_cdk.constructs.parameters import Parameters
from infra_cdk.constructs.reporting import Reporting
from infra_cdk.constructs.stream import Stream
from infra_cdk.constructs.tables import Tables
from infra_cdk.constructs.training import SageMakerRoles
from infra_cdk.constructs.workflow import TrainingWorkflow
from infra_cdk.constructs.workflow_alerts import WorkflowAlerts


class FleetwinStack(Stack):
    """Everything of one stage; account and region are those it is deployed to."""

    def __init__(self, scope: App, config: StageConfig) -> None:
        super().__init__(
            scope,
            config.stack_name,
            description=f"fleetwin, stage {config.stage}: readings to detections and alerts",
            analytics_reporting=False,
            # Without the rule on the bootstrap version, which only a deployment can evaluate.
            synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
        )
        spec = CfnParameter(
            self,
            "FeatureSpec",
            type="String",
            default=config.feature_spec,
            description="Sensors, windows and lateness of the features, as JSON",
        ).value_as_string
        extra = CfnParameter(
            self,
            "ExtraFeatures",
            type="String",
            default=config.extra_features,
            description="What the lake's features have beyond the model's, as JSON",
        ).value_as_string
        training = CfnParameter(
            self,
            "TrainingSettings",
            type="String",
            default="{}",
            description="Hyperparameters other than the script's defaults, as JSON of strings",
        ).value_as_string
        server = CfnParameter(
            self,
            "MaintenanceServer",
            type="String",
            default="",
            description="NFS server with the work orders, below /maintenance; none: no transfer",
        )
        activation_key = CfnParameter(
            self,
            "AgentActivationKey",
            type="String",
            default="",
            description="Of the DataSync agent beside that server; good for half an hour",
        )
        assets = PipelineAssets(self, "Assets")
        lake = Lake(self, "Lake", config)
        tables = Tables(self, "Tables", config)
        catalog = Catalog(self, "Catalog", config, lake)
        stream = Stream(self, "Ingestion", config, lake)
        Devices(self, "Devices", config)
        alerting = Alerting(self, "Alerting", config)
        JobLogs(self, "JobLogs", config)
        kept = KeptRecords(self, "Kept", config, lake=lake)
        raw_writer = RawWriter(
            self,
            "RawWriter",
            config,
            assets=assets,
            stream=stream,
            lake=lake,
            tables=tables,
            feature_spec=spec,
        )
        detector = Detector(
            self,
            "Detector",
            config,
            assets=assets,
            stream=stream,
            lake=lake,
            tables=tables,
            topic=alerting.topic,
            feature_spec=spec,
        )
        features = FeaturesJob(
            self,
            "Features",
            config,
            assets=assets,
            lake=lake,
            catalog=catalog,
            feature_spec=spec,
            extra_features=extra,
        )
        roles = SageMakerRoles(self, "SageMaker", config, assets=assets, lake=lake)
        workflow = TrainingWorkflow(
            self,
            "Training",
            config,
            assets=assets,
            lake=lake,
            tables=tables,
            features=features,
            roles=roles,
            topic=alerting.topic,
            feature_spec=spec,
            training_settings=training,
        )
        Automation(self, "Automation", config, lake=lake, features=features, topic=alerting.topic)
        Compaction(self, "Compaction", config, assets=assets, lake=lake, topic=alerting.topic)
        monitoring = Monitoring(
            self,
            "Monitoring",
            config,
            assets=assets,
            lake=lake,
            topic=alerting.topic,
            training=workflow.machine,
        )
        batch = BatchScoring(
            self,
            "Batch",
            config,
            assets=assets,
            lake=lake,
            catalog=catalog,
            models=roles.group_name,
            topic=alerting.topic,
            feature_spec=spec,
        )
        nightly = Nightly(
            self,
            "Nightly",
            config,
            lake=lake,
            features=features,
            batch=batch.machine,
            topic=alerting.topic,
        )
        WorkflowAlerts(self, "WorkflowAlerts", config, topic=alerting.topic)
        MaintenanceLog(
            self,
            "Maintenance",
            config,
            lake=lake,
            server=server,
            activation_key=activation_key,
        )
        reporting = Reporting(self, "Reporting", config, database=config.underscored)
        if config.is_lake_governed:
            Governance(
                self,
                "Governance",
                config,
                lake=lake,
                catalog=catalog,
                features_role=features.role,
                scores_role=batch.job_role,
                reader=reporting.principal,
                has_reader=reporting.wanted,
            )
        functions = {"raw-writer": raw_writer, "detector": detector}
        alarms = Alarms(
            self,
            "Alarms",
            config,
            topic=alerting.topic,
            stream=stream.stream,
            functions=functions,
            machine=workflow.machine,
            kept=kept.queue,
        )
        Dashboard(
            self,
            "Watching",
            config,
            alarms=alarms,
            topic=alerting.topic,
            stream=stream.stream,
            functions=functions,
        )
        Parameters(
            self,
            "Names",
            config,
            {
                "raw-bucket": lake.raw.bucket_name,
                "processed-bucket": lake.processed.bucket_name,
                "artefact-bucket": lake.artefacts.bucket_name,
                "stream": stream.stream.stream_name,
                "state-table": tables.state.table_name,
                "detections-table": tables.detections.table_name,
                "glue-database": catalog.database.database_name,
                "features-job": features.name,
                "training-workflow": workflow.machine.state_machine_arn,
                "monitoring-workflow": monitoring.machine.state_machine_arn,
                "batch-workflow": batch.machine.state_machine_arn,
                "nightly-workflow": nightly.machine.state_machine_arn,
                "endpoint": config.endpoint_name,
                "model-package-group": roles.group_name,
                "alert-topic": alerting.topic.topic_arn,
                "alert-inbox": alerting.inbox.queue_url,
            },
        )
