package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/mitosis-go/mitosis/connect/all"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// put writes files below a directory; a name that ends with ! may be executed.
func put(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		name, runs := strings.CutSuffix(name, "!")
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if runs {
			mode = 0o755
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, sources ...string) *Inventory {
	t.Helper()
	i, err := Load(t.Context(), sources...)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

const ini = `
# hosts without a group
bastion ansible_host=10.0.0.1   # a comment
mail:2222

[web]
web[01:03].example.com user_var="two words" n=5 flag=True text='"5"'
[db]
db-[a:c]
web01.example.com
[prod:children]
web
db
[web:vars]
ansible_user=deploy
tier = front
[prod:vars]
tier=any
ansible_port=22
[all:vars]
ansible_ssh_private_key_file=~/.ssh/fleet
tier=none
`

const yamlText = `
all:
  vars: {tier: none, ansible_ssh_private_key_file: ~/.ssh/fleet}
  hosts:
    bastion: {ansible_host: 10.0.0.1}
    mail: {ansible_port: 2222}
  children:
    prod:
      vars: {tier: any, ansible_port: 22}
      children:
        web:
          hosts:
            web[01:03].example.com: {user_var: two words, n: 5, flag: true, text: "5"}
          vars: {ansible_user: deploy, tier: front}
        db:
          hosts:
            db-[a:c]:
            web01.example.com:
`

const printed = `{
 "web": {"hosts": ["web01.example.com", "web02.example.com", "web03.example.com"], "vars": {"ansible_user": "deploy", "tier": "front"}},
 "db": ["db-a", "db-b", "db-c", "web01.example.com"],
 "prod": {"children": ["web", "db"], "vars": {"tier": "any", "ansible_port": 22}},
 "all": {"vars": {"tier": "none", "ansible_ssh_private_key_file": "~/.ssh/fleet"}, "hosts": ["bastion", "mail"]},
 "_meta": {"hostvars": {
  "bastion": {"ansible_host": "10.0.0.1"}, "mail": {"ansible_port": 2222},
  "web01.example.com": {"user_var": "two words", "n": 5, "flag": true, "text": "5"},
  "web02.example.com": {"user_var": "two words", "n": 5, "flag": true, "text": "5"},
  "web03.example.com": {"user_var": "two words", "n": 5, "flag": true, "text": "5"}}}}`

// The same inventory in each of Ansible's forms is the same, with what Ansible says of it.
func TestAnsibleInventories(t *testing.T) {
	dir := put(t, map[string]string{
		"hosts": ini, "hosts.yml": yamlText, "hosts.json": printed,
		"program!": "#!/bin/sh\n[ \"$*\" = --list ] || exit 9\ncat <<'END'\n" + printed + "\nEND\n",
	})
	for _, name := range []string{"hosts", "hosts.yml", "hosts.json", "program"} {
		t.Run(name, func(t *testing.T) {
			i := load(t, filepath.Join(dir, name))
			for group, want := range map[string]string{
				"all": "bastion,db-a,db-b,db-c,mail,web[01-03].example.com", "*": "bastion,db-a,db-b,db-c,mail,web[01-03].example.com",
				"web": "web[01-03].example.com", "db": "db-a,db-b,db-c,web01.example.com",
				"prod": "db-a,db-b,db-c,web[01-03].example.com", "ungrouped": "bastion,mail",
			} {
				if set, err := i.Group(group); err != nil || set.String() != want {
					t.Errorf("the group %s is %s, %v, want %s", group, set, err, want)
				}
			}
			web := i.Host("web01.example.com")
			want := map[string]any{"user_var": "two words", "n": 5, "flag": true, "text": "5", "ansible_user": "deploy",
				"tier": "front", "ansible_port": 22, "ansible_ssh_private_key_file": "~/.ssh/fleet"}
			if !reflect.DeepEqual(web.Vars, want) {
				t.Errorf("the variables of web01 are %v, want %v", web.Vars, want)
			}
			if want := []string{"db", "prod", "web"}; !slices.Equal(web.Groups, want) {
				t.Errorf("the groups of web01 are %q, want %q", web.Groups, want)
			}
			if port := i.Host("mail").Vars["ansible_port"]; port != 2222 {
				t.Errorf("the port of mail is %v, want 2222", port)
			}
			if tier := i.Host("no such host").Vars["tier"]; tier != "none" {
				t.Errorf("a host that is in no inventory has tier %v, want none", tier)
			}
		})
	}
}

// Ansible itself is asked about a variety of inventories: hosts, groups and variables.
func TestTheSameAsAnsible(t *testing.T) {
	empty := filepath.Join(put(t, map[string]string{"ansible.cfg": "[defaults]\n"}), "ansible.cfg")
	program, err := exec.LookPath("ansible-inventory")
	if err != nil {
		t.Skip("ansible is not installed")
	}
	cases := map[string]map[string]string{
		"ini":  {"hosts": ini},
		"yaml": {"hosts.yml": yamlText},
		"directory": {
			"10-first": "[a]\nx1 v=1\nx2\n", "20-second.yml": "b: {hosts: {x2: {v: 2}, x3: }, children: {a: }}\n", "README.md": "none of it",
			"group_vars/a.yml": "from: a\nboth: a\n", "group_vars/b/one.yml": "from: b\nboth: b\n", "group_vars/all": "base: yes\n", "host_vars/x2.yaml": "v: 22\n",
		},
		"priority":        {"hosts": "[p]\nh\n[q]\nh\n[p:vars]\nv=p\nansible_group_priority=10\n[q:vars]\nv=q\n"},
		"same depth":      {"hosts": "[q]\nh\n[p]\nh\n[p:vars]\nv=p\n[q:vars]\nv=q\n"},
		"depth":           {"hosts": "[top:children]\nmid\n[mid:children]\nlow\n[low]\nh\n[top:vars]\nv=top\nt=1\n[mid:vars]\nv=mid\n"},
		"ranges":          {"hosts": "[r]\na[1:3]b[01:02]\nn[0:8:4]\nx[a:c]\n"},
		"values":          {"hosts": "h a=1 b=01 c=1.5 d=true e=True f=None g='q q' i=\"x # y\" j=a=b # comment\n[all:vars]\nk = some text \nl=5\n"},
		"twice":           {"hosts": "[a]\nh v=1\n[b]\nh v=2\n"},
		"empty groups":    {"hosts": "[a]\n[b:children]\na\n"},
		"only a name":     {"hosts": "h\n"},
		"with a port":     {"hosts": "h:2222\n[g]\ni:22\n"},
		"ungrouped":       {"hosts": "[ungrouped]\nh\n[g]\ni\n"},
		"yaml, no group":  {"hosts.yml": "all:\n  hosts:\n    h:\n    i: {a: [1, 2], b: {c: d}, e: null}\n"},
		"yaml, ungrouped": {"hosts.yml": "ungrouped:\n  hosts:\n    h:\nweb:\n  hosts:\n    w[1:2]:\n"},
	}
	for name, files := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := put(t, files)
			if len(files) == 1 {
				for name := range files {
					source = filepath.Join(source, name)
				}
			}
			cmd := exec.Command(program, "-i", source, "--list")
			cmd.Env = append(os.Environ(), "ANSIBLE_LOCALHOST_WARNING=False", "HOME="+t.TempDir(), "ANSIBLE_CONFIG="+empty)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("ansible-inventory: %v", err)
			}
			var theirs struct {
				Meta struct{ Hostvars map[string]map[string]any } `json:"_meta"`
			}
			groups := make(map[string]json.RawMessage)
			if err := errors.Join(json.Unmarshal(out, &theirs), json.Unmarshal(out, &groups)); err != nil {
				t.Fatal(err)
			}
			i := load(t, source)
			for host, vars := range theirs.Meta.Hostvars {
				ours, err := json.Marshal(i.Host(host).Vars)
				want, err2 := json.Marshal(vars)
				if err != nil || err2 != nil || string(ours) != string(want) {
					t.Errorf("the variables of %s are %s, want %s as for Ansible", host, ours, want)
				}
			}
			delete(groups, "_meta")
			var within func(group string) []string
			within = func(group string) []string {
				var g struct{ Hosts, Children []string }
				_ = json.Unmarshal(groups[group], &g) // a group may be missing there, and is empty
				for _, child := range g.Children {
					g.Hosts = append(g.Hosts, within(child)...)
				}
				return g.Hosts
			}
			for group := range groups {
				set, err := i.Group(group)
				if err != nil {
					t.Errorf("Ansible has the group %s: %v", group, err)
					continue
				}
				if want := fleet.NewHosts(within(group)...); !set.Equal(want) {
					t.Errorf("the group %s is %s, want %s as for Ansible", group, set, want)
				}
			}
		})
	}
}

const ours = `
vars: {user: deploy, tier: none}
hosts:
  web[01-03].example.com: {port: 2222}
  db1: {host: 10.0.0.7, become: sudo, tier: back}
  bastion:
groups:
  web: web[01-03].example.com
  but-web: {hosts: "@*!@web", vars: {jump: "ops@bastion:2200", tier: any}}
  every: {groups: [web, but-web], vars: {key: ~/.ssh/every}}
  far: other[1-2]
`

func TestOurInventory(t *testing.T) {
	i := load(t, filepath.Join(put(t, map[string]string{"fleet.yml": ours}), "fleet.yml"))
	for text, want := range map[string]string{
		"@*": "bastion,db1,other[1-2],web[01-03].example.com",

		"@every!@web":       "bastion,db1",
		"@far,new1":         "new1,other[1-2]",
		"web01.example.com": "web01.example.com",
	} {
		if set, err := i.Select(text); err != nil || set.String() != want {
			t.Errorf("%s is %s, %v, want %s", text, set, err, want)
		}
	}
	if v := i.Host("db1").Vars; v["tier"] != "back" || v["mitosis_user"] != "deploy" || v["mitosis_jump"] != "ops@bastion:2200" {
		t.Errorf("the variables of db1 are %v", v)
	}
	if _, err := i.Select("@nobody"); !errors.Is(err, fleet.ErrNoGroup) || !strings.Contains(err.Error(), "but-web") {
		t.Errorf("a group that is not there: %v, want one that matches ErrNoGroup and lists the others", err)
	}
}

// Each variable becomes a field of a hop.
func TestHops(t *testing.T) {
	for name, c := range map[string]struct {
		vars string // in JSON
		want string // the methods, as Go prints them without what is zero
	}{
		"nothing":               {`{}`, "ssh.Login{Host:h}"},
		"user@host":             {`{}`, "ssh.Login{Host:h User:me}"},
		"ssh:a/sudo":            {`{}`, "ssh.Login{Host:a} become.Sudo{}"},
		"all of ssh":            {`{"ansible_host":"10.0.0.1","ansible_port":22,"ansible_user":"u","ansible_ssh_private_key_file":"k"}`, "ssh.Login{Host:10.0.0.1 IdentityFiles:[k] Port:22 User:u}"},
		"the older names":       {`{"ansible_ssh_host":"x","ansible_ssh_port":"2200","ansible_ssh_user":"u"}`, "ssh.Login{Host:x Port:2200 User:u}"},
		"a hop path":            {`{"mitosis_hop":"ssh:a/docker:b","ansible_host":"no"}`, "ssh.Login{Host:a} container.Docker{Container:b}"},
		"via":                   {`{"mitosis_via":"ssh:a/sudo"}`, "ssh.Login{Host:a} become.Sudo{} ssh.Login{Host:h}"},
		"jump hosts":            {`{"mitosis_jump":"u@a:2200,b"}`, "ssh.Login{Host:h ProxyJump:[{Host:a Port:2200 User:u} {Host:b}]}"},
		"ProxyJump of Ansible":  {`{"ansible_ssh_common_args":"-o ProxyJump=a"}`, "ssh.Login{Host:h ProxyJump:[{Host:a}]}"},
		"-J of Ansible":         {`{"ansible_ssh_extra_args":"-Ja,b"}`, "ssh.Login{Host:h ProxyJump:[{Host:a} {Host:b}]}"},
		"other arguments":       {`{"ansible_ssh_common_args":"-o ProxyCommand='nc %h %p' -C"}`, "openssh.Login{Args:[-o ProxyCommand=nc %h %p -C] Host:h}"},
		"the ssh program":       {`{"ansible_connection":"openssh","ansible_port":22}`, "openssh.Login{Host:h Port:22}"},
		"smart":                 {`{"ansible_connection":"smart"}`, "ssh.Login{Host:h}"},
		"this host":             {`{"ansible_connection":"local"}`, "local.Child{}"},
		"a container":           {`{"ansible_connection":"community.docker.docker","ansible_host":"box"}`, "container.Docker{Container:box}"},
		"podman":                {`{"ansible_connection":"podman"}`, "container.Podman{Container:h}"},
		"become":                {`{"ansible_become":true}`, "ssh.Login{Host:h} become.Sudo{}"},
		"become as a text":      {`{"ansible_become":"yes","ansible_become_user":"app"}`, "ssh.Login{Host:h} become.Sudo{User:app}"},
		"become by su":          {`{"ansible_become":true,"ansible_become_method":"su"}`, "ssh.Login{Host:h} become.Su{}"},
		"become by name":        {`{"mitosis_become":"doas","mitosis_become_user":"app"}`, "ssh.Login{Host:h} become.Doas{User:app}"},
		"no become":             {`{"ansible_become":false,"ansible_become_user":"app"}`, "ssh.Login{Host:h}"},
		"ours before Ansible's": {`{"mitosis_user":"a","ansible_user":"b"}`, "ssh.Login{Host:h User:a}"},
		"somebody's own":        {`{"user":"a","port":5,"host":"b","hop":"c"}`, "ssh.Login{Host:h}"},
	} {
		var vars map[string]any
		if err := json.Unmarshal([]byte(c.vars), &vars); err != nil {
			t.Fatal(err)
		}
		host := Host{Name: "h", Vars: vars}
		if c.vars == "{}" && name != "nothing" {
			host.Name = strings.Replace(name, "user@host", "me@h", 1)
		}
		hops, err := host.Hops()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, m := range hops {
			got = append(got, brief(reflect.ValueOf(m), true))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", name, s, c.want)
		}
	}
}

// brief prints a struct without the fields that are zero, sorted by name.
func brief(v reflect.Value, named bool) string {
	switch v.Kind() {
	case reflect.Struct:
		var fields []string
		for n := range v.NumField() {
			if !v.Field(n).IsZero() {
				fields = append(fields, v.Type().Field(n).Name+":"+brief(v.Field(n), false))
			}
		}
		slices.Sort(fields)
		s := "{" + strings.Join(fields, " ") + "}"
		if named {
			s = v.Type().String() + s
		}
		return s
	case reflect.Slice:
		var items []string
		for n := range v.Len() {
			items = append(items, brief(v.Index(n), false))
		}
		return "[" + strings.Join(items, " ") + "]"
	}
	return fmt.Sprint(v)
}

func TestVariablesThatCannotBeUsed(t *testing.T) {
	i, err := Parse([]byte(`
all:
  hosts:
    vault: {ansible_password: !vault "$ANSIBLE_VAULT;1.1", other: !vault "x"}
    template: {ansible_host: "{{ base }}.example.com"}
    list: {ansible_user: [a, b]}
    port: {ansible_port: ninety}
    method: {ansible_become: true, ansible_become_method: runas}
    kind: {ansible_connection: winrm}
    unused: {other: "{{ a template }}", more: !vault "x"}
`))
	if err != nil {
		t.Fatal(err)
	}
	for host, part := range map[string]string{
		"vault": "ansible_password: it is encrypted", "template": "ansible_host: it is a template", "list": "ansible_user", "port": "ninety",
		"method": "runas", "kind": "winrm",
	} {
		if _, err := i.Host(host).Hops(); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), "host "+host) {
			t.Errorf("%s: %v, want an error that names the host and says %q", host, err, part)
		}
	}
	if _, err := i.Host("unused").Hops(); err != nil {
		t.Errorf("variables that no hop needs: %v", err)
	}
}

func TestOtherSources(t *testing.T) {
	dir := put(t, map[string]string{
		"config":   "Host web1 web2 *.example.com !no\n  User x\nhost=\"db 1\" db2\nMatch all\n",
		"names":    "b\na\n\n# c\nb\n",
		"old!":     "#!/bin/sh\ncase $1 in --list) echo '{\"g\":[\"x\",\"y\"]}';; --host) echo \"{\\\"me\\\":\\\"$2\\\"}\";; esac\n",
		"broken!":  "#!/bin/sh\necho it is down >&2\nexit 3\n",
		"forever!": "#!/bin/sh\nexec sleep 1000\n",
		"more.yml": "g: {hosts: {z: {v: 1}}}\n",
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	for source, want := range map[string]string{at("config"): "web1 web2 db 1 db2", at("names"): "b a", at("old"): "x y", "n[1-2],m": "n1 n2 m", "n1,": "n1"} {
		if source == at("config") {
			want = "web1 web2 db 1 db2"
		}
		if got := strings.Join(load(t, source).Hosts().Names(), " "); got != want {
			t.Errorf("%s has the hosts %q, want %q", source, got, want)
		}
	}
	both := load(t, at("old"), at("more.yml"))
	if g, err := both.Group("g"); err != nil || g.String() != "x,y,z" || both.Host("y").Vars["me"] != "y" {
		t.Errorf("two sources together: %s, %v, %v", g, err, both.Host("y").Vars)
	}
	if _, err := Load(t.Context(), at("broken")); err == nil || !strings.Contains(err.Error(), "it is down") {
		t.Errorf("a program that fails: %v, want what it said", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, at("forever")); err == nil {
		t.Error("a program that does not end was waited for")
	}
	if _, err := Load(t.Context(), at("nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v, want one that matches ErrNotExist", err)
	}
}

func TestInvalidInventories(t *testing.T) {
	for text, part := range map[string]string{
		"[a:nothing]\nh":                   "line 1",
		"h novalue":                        "line 1: \"novalue\"",
		"[a:vars]\nnovalue":                "line 2",
		"h[3:1]":                           "ends before it begins",
		"h[1]":                             "a range is",
		"h[1:99999999]":                    "more than",
		"h 'open":                          "line 1",
		"[a:children]\nb\n[b:children]\na": "within itself",
		"---\n- a\n- b":                    "no mapping",
		"---\nhosts: 5":                    "no list of names",
		"---\nhosts: {\"a[3-1]\": }":       "ends before",
		"---\nhosts: {a: }\nbogus: 1":      "bogus",
		"---\nhosts: {a: 5}":               "variables are a mapping",
		"---\nhosts: {a: }\ngroups: {g: '@none'}":   "no such group",
		"---\nhosts: {a: }\ngroups: {g: {hots: a}}": "hots",
		"---\nall: {hots: }":                        "hots",
		"---\nall: [[a]]":                           "no name",
		"---\na: b: c":                              "",
		"{":                                         "",
		"---\na: &a {children: {b: *a}}":            "",
		"---\nhosts: {h: {v: &v [*v]}}":             "",
		"---\n" + laughs():                          "more than",
	} {
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %v, want one that matches ErrInvalid and says %q", text, err, part)
		}
	}
}

// laughs is a short document whose aliases make it a very long one.
func laughs() string {
	var s strings.Builder
	s.WriteString("all: {vars: {l0: &l0 [x]")
	for n := range 12 {
		fmt.Fprintf(&s, ", l%d: &l%d [%s]", n+1, n+1, strings.Repeat(fmt.Sprintf("*l%d,", n), 10))
	}
	return s.String() + "}}"
}

// No text makes the readers panic, nor take more than a bound.
func FuzzParse(f *testing.F) {
	for _, text := range []string{ini, yamlText, printed, ours, "[a]\nh[1:2] x='y'", "---\na: &a {hosts: *a}"} {
		f.Add(text)
	}
	large := regexp.MustCompile(`[0-9]{4}`) // a range that takes seconds by its size
	f.Fuzz(func(t *testing.T, text string) {
		if large.MatchString(text) {
			return
		}
		i, err := Parse([]byte(text))
		if err != nil {
			return
		}
		n := 0
		for name := range i.Hosts().All() {
			if _, err := i.Host(name).Hops(); err != nil && err.Error() == "" {
				t.Error("an error without words")
			}
			if n++; n > 100 {
				break
			}
		}
	})
}
