"""Copies of the project to measure: as it is, and with one pair, `records`, in place of the default ones."""

import re
import shutil
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAIR = Path(__file__).resolve().parent / "pair"
COPIED = ["pipelines", "macros", "models", "seeds", "tests/dbt", "analyses", "dbt_project.yml", "profiles.yml"]
OF_THE_DEFAULT_PAIRS = ["staging/**/*", "compare/compare_*"]


def copy(folder: Path) -> Path:
    """Fills `folder` with what a run needs, so that nobody's edits disturb a measurement. Returns it."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copyfile(ROOT / name, folder / name)
    (folder / ".dlt").mkdir()
    shutil.copyfile(ROOT / ".dlt/config.toml", folder / ".dlt/config.toml")
    return folder


def with_the_pair_records(folder: Path) -> Path:
    """Replaces the default pairs by `records`, declared as anybody would (pair/). Returns the folder."""
    models = folder / "models"
    removed = {path.stem for pattern in OF_THE_DEFAULT_PAIRS for path in models.glob(f"{pattern}.sql")}
    shutil.rmtree(models / "staging")
    for path in models.glob("compare/compare_*.sql"):
        path.unlink()
    shutil.copytree(PAIR / "models", models, dirs_exist_ok=True)
    removed -= {path.stem for path in models.rglob("*.sql")}
    for path in models.rglob("*.yml"):
        declared = yaml.safe_load(path.read_text()) or {}
        declared.pop("unit_tests", None)
        if "models" in declared:
            declared["models"] = [model for model in declared["models"] if model["name"] not in removed]
        path.write_text(yaml.safe_dump(declared, sort_keys=False))
    speaks_of_one = re.compile(rf"ref\(\s*['\"]({'|'.join(removed)})['\"]")
    for path in [*(folder / "tests/dbt").rglob("*.sql"), *(folder / "analyses").rglob("*.sql")]:
        if speaks_of_one.search(path.read_text()):
            path.unlink()
    for name in ("owners", "response_policies"):
        header, *rows = (folder / f"seeds/{name}.csv").read_text().splitlines(keepends=True)
        (folder / f"seeds/{name}.csv").write_text(header + "".join(row for row in rows if row.startswith(",")))
    project = yaml.safe_load((folder / "dbt_project.yml").read_text())
    project["vars"]["reconciliations"] = yaml.safe_load((PAIR / "reconciliations.yml").read_text())
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(project, sort_keys=False))
    return folder
