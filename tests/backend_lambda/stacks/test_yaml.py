"""The templates are YAML for every reader: cfn-lint's and SAM's take what PyYAML, which reads them for the picture, does not."""

from __future__ import annotations

from pathlib import Path

import cfnlint.decode
import pytest
import yaml

from backend_lambda.planning import picture
from tests.backend_lambda.stacks import templates

ALL = templates.names()


@pytest.mark.parametrize("name", ALL)
def test_every_reader_reads_every_template(name: str) -> None:
    path = templates.STACKS / f"{name}.yaml"
    ours = picture.read(path)
    theirs, problems = cfnlint.decode.decode(str(path))
    assert problems == [] and theirs is not None
    assert ours["Resources"]
    assert list(ours) == list(theirs)
    assert list(ours["Resources"]) == list(theirs["Resources"])


def test_what_is_no_yaml_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("Resources: {A: {RegexString: ^(/live)?/v1/{id}$, B: 1}}\n")
    with pytest.raises(yaml.YAMLError):
        picture.read(path)
