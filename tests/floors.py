"""The floors of the house, as data: what lies on which, and what may be imported where."""

from __future__ import annotations

# A name that ends in ".*" stands for a package and all below it. A module that is not here yet
# fails the test: give it a floor.
FLOORS: dict[str, dict[int, tuple[str, ...]]] = {
    "selfml": {
        0: (
            *("selfml", "selfml.config", "selfml.config_sections", "selfml.run_format"),
            *("selfml.run", "selfml.files", "selfml.row_groups"),
            *("selfml.decisions", "selfml.decision_tables"),
            *("selfml.decision_queries", "selfml.decision_records", "selfml.migrations.*"),
            *("selfml.decision_changes", "selfml.decision_index"),
            *("selfml.store_health", "selfml.store_copies", "selfml.postgres_connection"),
        ),
        1: (
            *("selfml.data.*", "selfml.simplex", "selfml.hull", "selfml.basis", "selfml.flips"),
            "selfml.frank_wolfe",
            *("selfml.calibration", "selfml.metrics", "selfml.attribute_metrics"),
            *("selfml.intervals", "selfml.categories", "selfml.agreement", "selfml.tracing"),
            *("selfml.explanation_metrics", "selfml.receipts"),
            *("selfml.effects", "selfml.counterfactual"),
            *("selfml.oracle", "selfml.evaluate", "selfml.derived", "selfml.expert_table"),
            *("selfml.auto_accept", "selfml.trust", "selfml.trust_measures"),
            *("selfml.coverage", "selfml.suggestions", "selfml.nearest", "selfml.reasons"),
            *("selfml.flip_cases", "selfml.faithfulness", "selfml.faithfulness_measures"),
            *("selfml.audited", "selfml.decided", "selfml.exchange.*", "selfml.export"),
            *("selfml.corrections", "selfml.crossfit", "selfml.rates", "selfml.progress"),
        ),
        2: ("selfml.nn.*",),
        3: (
            *("selfml.training_data", "selfml.extract", "selfml.results", "selfml.explain"),
            "selfml.stability",
            *("selfml.train", "selfml.stages", "selfml.run_start"),
            *("selfml.maps", "selfml.report"),
            "selfml.relabel.*",
        ),
        4: ("selfml.benchmark.*",),
        5: (*("selfml.cli", "selfml.cli_export", "selfml.cli_relabel", "selfml.cli_support"),),
    },
    "dashboard": {
        0: (
            *("dashboard", "dashboard.settings", "dashboard.state", "dashboard.draft"),
            *("dashboard.access", "dashboard.events"),
        ),
        1: ("dashboard.frames.*", "dashboard.figures.*"),
        2: (
            *("dashboard.load", "dashboard.media", "dashboard.preload", "dashboard.components"),
            *("dashboard.receipt_html", "dashboard.flip_cards", "dashboard.flip_panels"),
            *("dashboard.flip_filters", "dashboard.blinding"),
            *("dashboard.attribute_panels", "dashboard.basis_panels", "dashboard.what_if_panels"),
            *("dashboard.what_if_html",),
            "dashboard.compare_panels",
            *("dashboard.trust_panel", "dashboard.relabelled_panel", "dashboard.measures_panel"),
            *("dashboard.coverage_panels", "dashboard.label_next_panel"),
            "dashboard.faithfulness_panels",
            *("dashboard.audit_queue", "dashboard.audit_desk", "dashboard.audit_panels"),
            *("dashboard.audit_grid", "dashboard.audit_people"),
            *("dashboard.audit_acts", "dashboard.access_panels", "dashboard.health"),
            "dashboard.export_panel",
            *("dashboard.oracle_panels", "dashboard.oracle_form", "dashboard.oracle_html"),
        ),
        3: ("dashboard.views.*",),
        4: ("dashboard.app",),
    },
}
ENGINES = ("tensorflow", "tf", "tf_keras", "jax", "jaxlib", "flax", "torch")
# Keras has one interface to several devices for JAX alone; TensorFlow's own is behind this module.
ENGINE_ALLOWED = {"selfml.nn.devices": {"tensorflow"}}
KERAS_FLOORS = (2, 3, 4)
DASHBOARD_SEES = (0, 1)
TRAINING_NEEDS = {
    *("keras", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "PIL", "rich", "typer"),
    *("selfml", "__future__", "threadpoolctl"),  # the last one comes with sklearn
}
# Optional and imported when a map, a peer or decisions are asked for.
LAZY = {
    **ENGINE_ALLOWED,
    "selfml.maps": {"openTSNE", "umap"},
    "selfml.benchmark.cleanlab_peer": {"cleanlab"},
    "selfml.benchmark.figures": {"plotly"},
    "selfml.relabel.ray_engine": {"ray"},
    "selfml.decisions": {"sqlalchemy"},
    "selfml.decision_tables": {"sqlalchemy"},
    "selfml.decision_queries": {"sqlalchemy"},
    "selfml.decision_changes": {"sqlalchemy"},
    "selfml.postgres_connection": {"psycopg"},
    "selfml.store_health": {"sqlalchemy"},
    "selfml.migrations": {"sqlalchemy", "alembic"},
    "selfml.migrations.env": {"alembic"},
    "selfml.migrations.versions.r0001_decisions": {"sqlalchemy", "alembic"},
    "selfml.migrations.versions.r0002_acts_in_order": {"alembic"},
}
