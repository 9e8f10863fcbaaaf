import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { isTemplate, renderTemplate } from "../../../src/containerd/template.ts";

const render = (text: string, version = 2) => renderTemplate("/t/config.toml.tmpl", text, version);

describe("a template becomes TOML of the same structure", () => {
  test.each<[string, string, string]>([
    ["base", '{{ template "base" . }}\nx = 1', "version = 2\n\nx = 1"],
    ["base with trimming", 'a\n{{- template "base" . -}}\n  b', "aversion = 2\nb"],
    ["values", 'x = {{ .SELinux }}\ny = "{{ .Opt }}"\n["{{$k}}"]', 'x = 0\ny = "0"\n["0"]'],
    ["a value with a keyword in its name", "x = {{ .A.template }}", "x = 0"],
    ["a comment", "{{/* note */}}x", "x"],
    ["a condition", "{{ if .A }}a{{ else }}b{{ end }}c", "ac"],
    ["a chain of conditions", "{{ if .A }}a{{ else if .B }}b{{ else }}c{{ end }}d", "ad"],
    ["nested conditions", "{{ if .A }}{{ if .B }}b{{ else }}x{{ end }}a{{ end }}", "ba"],
    ["a condition inside an else", "{{ if .A }}a{{ else }}{{ if .B }}b{{ end }}c{{ end }}d", "ad"],
    ["a comma before all but the first", "[{{range $i, $j := .L}}{{if $i}}, {{end}}{{.}}{{end}}]", "[0]"],
    ["the else of the first", "{{range $i, $j := .L}}{{if $i}}a{{else}}b{{end}}{{end}}", "b"],
    ["a loop", "{{ range $k, $v := .L }}l{{ end }}", "l"],
    ["a definition", '{{ define "x" }}y{{ end }}z', "z"],
    ["an assignment", "{{ $x := 1 }}z", "z"],
  ])("%s", (_what, text, rendered) => expect(render(text)).toBe(rendered));

  test("as k3s writes them", () => {
    const text = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  enable_selinux = {{ .NodeConfig.SELinux }}

{{- if .DisableCgroup}}
  disable_cgroup = true
{{end}}
[plugins."io.containerd.grpc.v1.cri".containerd]
  disable_snapshot_annotations = {{ if eq .Snapshotter "stargz" }}false{{else}}true{{end}}
{{ if .PrivateRegistryConfig }}
{{range $k, $v := .PrivateRegistryConfig.Mirrors }}
[plugins."io.containerd.grpc.v1.cri".registry.mirrors."{{$k}}"]
  endpoint = [{{range $i, $j := $v.Endpoints}}{{if $i}}, {{end}}{{printf "%q" .}}{{end}}]
{{end}}
{{end}}
`;
    expect(parse(render(text))).toMatchObject({
      plugins: { "io.containerd.grpc.v1.cri": { disable_cgroup: true, registry: { mirrors: { "0": {} } } } },
    });
  });
});

test.each(["{{ if .A }}", "{{ end }}", "{{ else }}"])("%s is unbalanced", (text) => {
  expect(() => render(text)).toThrow(expect.objectContaining({ code: "CONFIG" }));
});

test.each<[string, string, boolean]>([
  ["/x/config.toml.tmpl", "", true],
  ["/x/config.toml", '{{ template "base" . }}', true],
  ["/x/config.toml", "{{- /* c */ -}}", true],
  ["/x/config.toml", "version = 2\n", false],
])("%s with %j is a template: %s", (path, text, expected) => expect(isTemplate(path, text)).toBe(expected));
