# SPDX-License-Identifier: Apache-2.0
"""Go templates: the same ones to Docker's client and to pypod make the same text, or the same complaint."""

import pytest
from sides import IMAGE, Oracle, Pypod, same

from pyoci.engine.tables import render

pytestmark = pytest.mark.root
OPTIONS = (
    "--network none -e A=1 -l x=y -l com.example.some-key=v --expose 99 --stop-timeout 3 --restart on-failure:3 --tmpfs /t:size=1m"
    " --health-cmd true --health-interval 5s --log-opt max-size=1m --device /dev/null:/dev/x --hostname same -m 64m"
)
INSPECTED = (
    "plain text",
    "{{.Name}} {{.Path}} {{.Args}}",
    "{{.ID | len}}",
    "{{.HostConfig.NanoCPUs}} {{.HostConfig.CPUShares}}",
    "{{.Config.Env}} {{.Config.Labels}} {{.Config.ExposedPorts}} {{.Config.Entrypoint}}",
    "{{.Config.Labels.x}} {{.Config.Labels.nope}}",
    '{{index .Config.Labels "x"}} {{index .Config.Labels "nope"}}.',
    "{{index .Config.Env 99}}",
    "{{index .Args 0 1}}",
    '{{index .Args "x"}}',
    "{{index .HostConfig.Links 0}}",
    "{{.State.Nope}}",
    "{{.Nope}}",
    "{{.Nope.Nope}}",
    "{{.Name.Foo}}",
    "{{.Config.Healthcheck.Test}} {{.Config.Healthcheck.Interval}}",
    "{{.HostConfig.RestartPolicy}} {{.HostConfig.LogConfig}}",
    "{{.HostConfig.Devices}} {{.HostConfig.Tmpfs}} {{.HostConfig.Sysctls}} {{.HostConfig.PidsLimit}} {{.HostConfig.Init}}",
    "{{.HostConfig.Links}} {{.HostConfig.OomKillDisable}} {{.HostConfig.Annotations}} {{.Config.Volumes}} {{.Config.StopTimeout}}",
    "{{len .Name}} {{len .Config.Env}} {{len .Config.Labels}}",
    '{{eq .Name "/one"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{ge 1 2}} {{gt 3 2}}',
    "{{eq .Name 1}}",
    "{{lt .Name 1}}",
    '{{eq .State.Status "x" "created"}}',
    "{{println .Name}}{{println .Path .Args}}{{print .Name `x` 1 2}}",
    '{{printf "%s %v %d %q %5d|%-5d|%05d %x %t %.2f %% %8s|%-8s|%c %T" .Name .Path 5 .Path 3 4 5 255 true 3.14159 "r" "l" 65 1}}',
    '{{printf "%d" .Name}} {{printf "%s" 5}} {{printf "%s"}} {{printf "x" 1}}',
    '{{join .Args ","}} {{join .Config.Env ";"}}',
    '{{split .Path "h"}} {{upper .Path}} {{lower "ABC"}} {{title "abc def"}} {{pad .Path 1 2}}|{{truncate .Name 2}}',
    "{{json .Args}} {{json .Config.Labels}} {{json .Name}} {{json .State.Running}}",
    "{{json .HostConfig.Memory}} {{json .HostConfig.Links}}",
    "{{range .Args}}[{{.}}]{{else}}none{{end}}",
    "{{range .HostConfig.Links}}[{{.}}]{{else}}none{{end}}",
    "{{range $i, $e := .Args}}{{if $i}}, {{end}}{{$e}}{{end}}",
    "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}",
    '{{range .Args}}{{if eq . "-c"}}{{continue}}{{end}}{{.}}{{end}}',
    "{{range .Args}}{{.}}{{break}}{{end}}",
    "{{range 3}}{{.}}{{end}}",
    "{{range .Name}}x{{end}}",
    '{{define "x"}}<{{.}}>{{end}}{{template "x" .Name}}',
    '{{block "x" .Name}}<{{.}}>{{end}}',
    '{{template "nope"}}',
    "{{with $x := .Name}}{{$x}}{{end}}",
    "{{with .HostConfig.Links}}x{{else}}y{{end}}",
    "{{if .State.Running}}up{{else if .Name}}named{{else}}down{{end}}",
    "{{if not .State.Running}}down{{end}}",
    "{{$x := 1}}{{$x = 2}}{{$x}} {{$.Name}}",
    "{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}",
    "{{$nope}}",
    '{{ .Name }}   {{- " trimmed " -}}   {{ .Path }}',
    '{{"a\\tb\\n"}}{{`raw\\n`}}',
    "{{1.5}} {{0x10}} {{true}} {{-3}} {{'a'}}",
    "{{nil}}",
    '{{and true .Name}} {{or false "" 0 "z"}} {{not true}}',
    "{{slice .Name 1}} {{slice .Name 1 3}}",
    "{{slice .Name 99}}",
    '{{(index .Args 0) | len}} {{.Name | printf "%s-%s" .Path}}',
    "{{/* a comment */}}x{{- /* another */ -}} y",
    "{{nosuchfunc .Name}}",
    "{{",
    "{{end}}",
    "{{if}}x{{end}}",
    "{{if true}}x",
    "{{.Name}",
    "{{.Name}} {{else}}",
    '{{"unterminated}}',
    "{{}}",
    "{{.Name | nope}}",
    "{{(.Name}}",
    "{{break}}",
    '{{html "<a & b>"}} {{js "a\'b<"}} {{urlquery "a b&c"}}',
    "a\n{{.Nope}}",
    "{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}",
    "{{.Mounts}}",
    "{{len .State}}",
    '{{printf "%v" .HostConfig.Links}}',
)
LISTED = (
    "{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Labels}} {{.Ports}} {{.Platform}}",
    'table {{.Label "x"}}\\t{{upper .Names}}',
    'table {{.Label "com.example.some-key"}}\\t{{json .Names}}\\t{{truncate .Image 1}}',
    "{{.Nope}}",
    "{{.Names",
    "table {{.Names}} x",
    '{{.Label "x"}} {{.Label "nope"}}.',
    "{{json .Names}} {{json .Labels}}",
    '{{if eq .Names "one"}}yes{{else}}no{{end}}',
    "table",
    "table {{.ID}}\\t{{.Names}}\\t{{.State}}\\t{{.Mounts}}\\t{{.Networks}}\\t{{.LocalVolumes}}",
    "x\\n{{.Names}}",
)


def compare(pypod: Pypod, oracle: Oracle, commands: list[list[str]]) -> None:
    """Run commands on both sides; what they say must be the same."""
    differences = []
    for words in commands:
        theirs, ours = same(oracle(*words)), same(pypod(*words))
        if ours != theirs:
            differences.append(f"{words}\n  docker {theirs}\n  pypod  {ours}")
    assert not differences, "\n".join(differences)


def test_a_template_makes_the_same_of_a_document(pypod: Pypod, oracle: Oracle) -> None:
    """highlevel.md 1.2: `inspect -f`, and issue 6: `--format` with Go templates."""
    create = ["create", "--name", "one", *OPTIONS.split(), IMAGE, "sh", "-c", "sleep 1000"]
    compare(pypod, oracle, [create, *(["inspect", "--format", text, "one"] for text in INSPECTED)])


def test_a_template_makes_the_same_of_a_list(pypod: Pypod, oracle: Oracle) -> None:
    """Issue 6: `ps` in all its formats."""
    create = ["create", "--name", "one", *OPTIONS.split(), IMAGE, "sh", "-c", "sleep 1000"]
    compare(pypod, oracle, [create, *(["ps", "-a", "--format", text] for text in LISTED)])


def test_a_table_is_as_wide_as_dockers() -> None:
    """Docker's client gives tabwriter columns of at least ten letters, three of which are blank."""
    rows = [{"ID": "x", "Names": "a-long-name"}, {"ID": "y", "Names": "b"}]
    shown = render("", rows, {"ID": "ID", "Names": "NAMES"}, "{{.ID}}\\t{{.Names}}\\t{{.ID}}", "")
    assert shown == (
        "ID        NAMES         ID\nx         a-long-name   x\ny         b             y\n"
    )
