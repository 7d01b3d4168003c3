"""What is kept beside dbt's parse is what dbt would make anew."""

import json

import pytest
from dbt.contracts.project import Configuration, Project
from dbt_common import dataclass_schema

from pipelines.remembered import remember_schemas


@pytest.mark.parametrize("of", [Configuration, Project])
def test_a_schema_is_the_one_that_dbt_makes_also_where_its_file_is_broken(of, tmp_path, monkeypatch):
    made = dataclass_schema.build_json_schema(of).to_dict()
    monkeypatch.setattr(dataclass_schema, "build_json_schema", dataclass_schema.build_json_schema)
    remember_schemas(str(tmp_path / "schemas"))
    assert dataclass_schema.build_json_schema(of).to_dict() == made
    (file,) = (tmp_path / "schemas").iterdir()
    assert json.loads(file.read_text()) == made
    file.write_text('{"properties": {}}')
    assert dataclass_schema.build_json_schema(of).to_dict() == {"properties": {}}, "it is read, and not made"
    file.write_text('{"half a fi')
    assert dataclass_schema.build_json_schema(of).to_dict() == made


def test_where_nothing_can_be_written_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(dataclass_schema, "build_json_schema", dataclass_schema.build_json_schema)
    (tmp_path / "schemas").write_text("no folder")
    made = dataclass_schema.build_json_schema(Project).to_dict()
    remember_schemas(str(tmp_path / "schemas"))
    assert dataclass_schema.build_json_schema(Project).to_dict() == made
