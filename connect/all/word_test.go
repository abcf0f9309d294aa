//go:build linux

package all_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/console"
	"github.com/mitosis-go/mitosis/connect/container"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
)

// words has a hop of each method that has a word.
var words = map[string]connect.Method{
	"ssh:web1":           ssh.Login{Host: "web1"},
	"openssh:web1":       openssh.Login{Host: "web1"},
	"sudo":               become.Sudo{},
	"su":                 become.Su{},
	"doas":               become.Doas{},
	"local":              local.Child{},
	"docker:web":         container.Docker{Container: "web"},
	"podman:web":         container.Podman{Container: "web"},
	"buildah:web":        container.Buildah{Container: "web"},
	"kubectl:web":        container.Kubectl{Pod: "web"},
	"lxc:web":            container.LXC{Container: "web"},
	"lxd:web":            container.LXD{Instance: "web"},
	"incus:web":          container.Incus{Instance: "web"},
	"jail:web":           container.Jail{Jail: "web"},
	"machinectl:web":     container.Machinectl{Machine: "web"},
	"chroot:[/mnt]":      container.Chroot{Dir: "/mnt"},
	"nsenter:docker:web": container.Nsenter{Container: "web"},
	"unshare":            container.Unshare{},
	"console:ttyS0":      console.Login{Device: "/dev/ttyS0"},
}

func TestHopWords(t *testing.T) {
	for word, want := range map[string]connect.Method{
		"sudo?login":                                   become.Sudo{Login: true},
		"sudo:postgres?login=no&set-home=yes":          become.Sudo{User: "postgres", SetHome: true},
		"sudo:me?keep-env=A&keep-env=B&group=wheel":    become.Sudo{User: "me", KeepEnv: []string{"A", "B"}, Group: "wheel"},
		"su:app?shell=[/bin/sh]":                       become.Su{User: "app", Shell: "/bin/sh"},
		"su:app?shell=%2Fbin%2fsh":                     become.Su{User: "app", Shell: "/bin/sh"},
		"docker:IMAGE?run":                             container.Docker{Image: "IMAGE"},
		"docker:[r:5000/team/app:1@sha256:ab]?run":     container.Docker{Image: "r:5000/team/app:1@sha256:ab"},
		"podman:r%3A5000%2Fapp?run&user=u":             container.Podman{Image: "r:5000/app", User: "u"},
		"podman:web?arg=--env=A=b%26c&arg=-v=[/a:/b]":  container.Podman{Container: "web", Args: []string{"--env=A=b&c", "-v=/a:/b"}},
		"kubectl:[deployment/web]:app@prod?context=e":  container.Kubectl{Pod: "deployment/web", Container: "app", Namespace: "prod", Context: "e"},
		"chroot:[/mnt/a%5Db,c]?user=app":               container.Chroot{Dir: "/mnt/a]b,c", User: "app"},
		"chroot:%2Fmnt":                                container.Chroot{Dir: "/mnt"},
		"unshare?mount&user":                           container.Unshare{Namespaces: container.Namespaces{Mount: true, User: true}},
		"nsenter:4711?net&path=[/opt/nsenter]":         container.Nsenter{PID: 4711, Namespaces: container.Namespaces{Net: true}, Path: "/opt/nsenter"},
		"ssh:web1?Port=23&IdentitiesOnly=yes":          ssh.Login{Host: "web1", Options: []string{"Port=23", "IdentitiesOnly=yes"}},
		"ssh:web1?key=[~/.ssh/a]&host-keys=accept-new": ssh.Login{Host: "web1", IdentityFiles: []string{"~/.ssh/a"}, HostKeys: connect.HostKeysAcceptNew},
		"web1?host-keys=ask":                           ssh.Login{Host: "web1", HostKeys: connect.HostKeysAsk},
		"me@[::1]:22?ConnectTimeout=5":                 ssh.Login{Host: "::1", User: "me", Port: 22, Options: []string{"ConnectTimeout=5"}},
		"a,b?ProxyCommand=none":                        ssh.Login{Host: "b", ProxyJump: []ssh.Login{{Host: "a"}}, Options: []string{"ProxyCommand=none"}},
		"ssh:fe80::1%eth0?timeout=1m30s":               ssh.Login{Host: "fe80::1%eth0", ConnectTimeout: 90 * time.Second},
		"ssh:fe80::1%25ed0":                            ssh.Login{Host: "fe80::1%ed0"},
		"openssh:j:22,web1?verbose=2&Compression=no":   openssh.Login{Host: "web1", ProxyJump: "j:22", Verbose: 2, Options: []string{"Compression=no"}},
		"console:me@[/run/vm#1.sock]:9600?boot":        console.Login{Device: "/run/vm#1.sock", User: "me", Baud: 9600, Boot: true},
		"local#2":                                      local.Child{},
		"sudo?login#3":                                 become.Sudo{Login: true},
	} {
		got, err := connect.ParsePath("local/" + word + "/local")
		if err != nil || len(got) != 3 || !reflect.DeepEqual(got[1], want) {
			t.Errorf("%s is read as %+v, %v; want %+v between two others", word, got, err, want)
			continue
		}
		text, err := connect.FormatPath(got)
		again, parseErr := connect.ParsePath(text)
		if err != nil || parseErr != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s is written as %s, which is read as %+v (errors: %v, %v)", word, text, again, err, parseErr)
		}
	}
}

// An error names the hop and its place, the option, and the options that there are.
func TestHopWordsThatAreRefused(t *testing.T) {
	for word, says := range map[string]string{
		"sudo?logn":                     `hop 2, "sudo?logn": not a valid name: sudo has no option "logn"; it has group, preserve-env`,
		"local?x":                       `local has no options, and so not "x"`,
		"ssh:web1?prot=5":               `ssh has no option "prot"; it has key, certificate`,
		"web1?Host=a":                   `ssh has no option "Host"`,
		"ssh:web1?VerifyHostKeyDNS=yes": "openssh",
		"ssh:web1?Port=ten":             "port",
		"ssh:web1?Port=":                "port without a value",
		"ssh:web1?BatchMode":            "batchmode without a value",
		"ssh:web1?host-keys=maybe":      "one of strict, accept-new",
		"ssh:web1?timeout=5":            "a time such as 30s",
		"ssh:web1?keepalive-count=x":    "a number",
		"sudo?group=a&group=b":          "twice",
		"sudo?group":                    "needs a value",
		"sudo?group=":                   "needs a value",
		"sudo?login=perhaps":            "yes or no",
		"sudo?login&preserve-env":       "a login shell",
		"sudo?group=-x":                 "looks like an option",
		"sudo?":                         "no name",
		"sudo?&login":                   "no name",
		"sudo?=x":                       "no name",
		"sudo?login?x":                  "has no option",
		"sudo:[a":                       "a bracket is missing",
		"sudo:a]":                       "a bracket is missing",
		"sudo:]a[":                      "a bracket is missing",
		"su?shell=sh":                   "not an absolute path",
		"docker:a?run=no&rnu":           `no option "rnu"`,
		"docker:a%2Fb":                  "holds the character",
		"docker:-it?run":                "looks like an option",
		"docker?run":                    "empty",
		"chroot:mnt":                    "not an absolute path",
		"chroot":                        "not an absolute path",
		"buildah:web?run":               `no option "run"`,
		"podman:web?password=x":         `no option "password"`,
		"sudo?Password=x":               `no option "Password"`,
		"sudo:%00":                      "holds the character",
		"ssh:web1%0a":                   "holds the character",
		"ssh:web1?HostName=a%0aPort=1":  "more than one line",
		"docker:web?arg=%00":            "zero byte",
	} {
		got, err := connect.ParsePath("local/" + word)
		if !errors.Is(err, connect.ErrBadName) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s was taken as %+v, error %v; want %q with %q", word, got, err, connect.ErrBadName, says)
		}
	}
}

// odd are texts with all that has a meaning in a path.
var odd = []string{"a/b", "a,b", "a&b=c", "a?b", "a#2", "[a]", "a]b", "a%2Fb", "100%", "a b", "ä", "a\\b", `"a"`, "a:b@c", "/x/[y]#1", "=", "%25"}

// Every field of a method that is no secret has an option or a place in the target, and is read
// as it was written.
func TestEveryFieldOfAHopHasAWord(t *testing.T) {
	for word, base := range words {
		if got, err := connect.FormatPath([]connect.Method{base}); err != nil || got != word {
			t.Errorf("%#v is written as %s, %v, want %s", base, got, err, word)
		}
		typ := reflect.TypeOf(base)
		for i := range typ.NumField() {
			field := typ.Field(i)
			values := valuesFor(field.Name, field.Type)
			if values == nil {
				continue
			}
			said := 0
			for _, value := range values {
				hop := reflect.New(typ).Elem()
				hop.Set(reflect.ValueOf(base))
				hop.Field(i).Set(value)
				m := exclusive(hop.Interface().(connect.Method), field.Name)
				text, err := connect.FormatPath([]connect.Method{m, local.Child{}})
				if err != nil {
					continue // it is no value of that field, or two words have to say it
				}
				said++
				if text == word+"/local" && !reflect.DeepEqual(m, base) {
					t.Errorf("%v: %s = %v leaves no trace in %s", typ, field.Name, value, text)
				}
				got, err := connect.ParsePath(text)
				if err != nil || len(got) != 2 || !reflect.DeepEqual(got[0], m) {
					t.Errorf("%v: %s = %#v is written as %s and read as %+v, %v", typ, field.Name, value, text, got, err)
				}
			}
			if said == 0 {
				t.Errorf("%v: no word says %s", typ, field.Name)
			}
			if field.Type == reflect.TypeFor[string]() && field.Name == "Path" && said != len(values) {
				t.Errorf("%v: %d of %d odd texts can be written for %s", typ, said, len(values), field.Name)
			}
		}
	}
}

// exclusive leaves out the field that a field takes the place of.
func exclusive(m connect.Method, field string) connect.Method {
	switch h := m.(type) {
	case container.Docker:
		if field == "Image" {
			h.Container = ""
		}
		return h
	case container.Podman:
		if field == "Image" {
			h.Container = ""
		}
		return h
	case container.Nsenter:
		if field == "PID" {
			h.Container = ""
		}
		return h
	case console.Login:
		if field == "Address" {
			h.Device = ""
		}
		return h
	}
	return m
}

// valuesFor returns values of a field to try, nil for a secret.
func valuesFor(name string, typ reflect.Type) (values []reflect.Value) {
	texts := append([]string{"web1", "/some/dir", "Port=7", "::1", "h:23", "a@b", "none"}, odd...)
	switch typ {
	case reflect.TypeFor[connect.Secret](), reflect.TypeFor[[]connect.Secret](), reflect.TypeFor[connect.Dialer]():
		return nil
	case reflect.TypeFor[bool]():
		return []reflect.Value{reflect.ValueOf(true)}
	case reflect.TypeFor[int]():
		return []reflect.Value{reflect.ValueOf(1), reflect.ValueOf(22), reflect.ValueOf(115200)}
	case reflect.TypeFor[time.Duration]():
		return []reflect.Value{reflect.ValueOf(90 * time.Second), reflect.ValueOf(-time.Nanosecond)}
	case reflect.TypeFor[connect.HostKeyPolicy]():
		return []reflect.Value{reflect.ValueOf(connect.HostKeysAcceptNew), reflect.ValueOf(connect.InsecureIgnoreHostKeys), reflect.ValueOf(connect.HostKeysAsk)}
	case reflect.TypeFor[container.Runtime]():
		return []reflect.Value{reflect.ValueOf(container.RuntimePodman), reflect.ValueOf(container.RuntimeMachinectl)}
	case reflect.TypeFor[container.Namespaces]():
		return []reflect.Value{reflect.ValueOf(container.Namespaces{Mount: true, UTS: true, IPC: true, Net: true, PID: true, Cgroup: true, User: true})}
	case reflect.TypeFor[[]ssh.Login]():
		return []reflect.Value{reflect.ValueOf([]ssh.Login{{Host: "j", Port: 22}, {User: "me", Host: "::1", Port: 23}})}
	case reflect.TypeFor[[]string]():
		if name == "Options" {
			return []reflect.Value{reflect.ValueOf([]string{"Port=22", `ProxyCommand=nc -X "5" %h %p # [x] & y?`, "SetEnv=A=b"})}
		}
		for _, text := range texts {
			values = append(values, reflect.ValueOf([]string{text, "b"}))
		}
		return values
	}
	for _, text := range texts {
		values = append(values, reflect.ValueOf(text).Convert(typ))
	}
	return values
}

// A hop that no word says is an error, and never written as another one. Secrets are left out.
func TestHopsThatNoWordSays(t *testing.T) {
	for _, m := range []connect.Method{
		local.Exec{Argv: []string{"x"}},
		ssh.Login{Host: "a", ProxyJump: []ssh.Login{{Host: "j", IdentityFiles: []string{"k"}}}},
		ssh.Login{Host: "a", User: "x,y"},
		ssh.Login{Host: "a", Options: []string{"nonsense"}},
		become.Sudo{User: "-x"},
		container.Docker{},
		tellsItself{},
	} {
		if text, err := connect.FormatPath([]connect.Method{local.Child{}, m}); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "hop 2, ") {
			t.Errorf("%#v is written as %q, %v; want an error about the second hop", m, text, err)
		}
	}
	for _, m := range []connect.Method{
		ssh.Login{Host: "web", Password: "hunter2", Passphrase: "hunter2", Keys: []connect.Secret{"hunter2"}},
		openssh.Login{Host: "web", Password: "hunter2", Passphrase: "hunter2"},
		become.Sudo{Password: "hunter2"}, become.Su{Password: "hunter2"}, become.Doas{Password: "hunter2"},
		console.Login{Device: "/dev/ttyS0", Password: "hunter2"},
	} {
		if text, err := connect.FormatPath([]connect.Method{m}); err != nil || strings.Contains(text, "hunter") || strings.Contains(text, "?") {
			t.Errorf("%s is written as %q, %v; want the word alone", m.Label(), text, err)
		}
	}
}

// docs/hops.md has every word with all of its options, and its examples are read.
func TestEveryHopWordIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/hops.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(line, "|")
		if len(columns) != 6 || !strings.Contains(columns[4], "`") {
			continue
		}
		name := strings.FieldsFunc(strings.Trim(columns[1], " `"), func(r rune) bool { return strings.ContainsRune(":[`", r) })[0]
		documented[name] = true
		hops, err := connect.ParsePath(strings.Trim(columns[4], " `"))
		if err != nil || len(hops) != 1 {
			t.Errorf("the example of %s is read as %+v, %v", name, hops, err)
			continue
		}
		var options []string
		if m, ok := hops[0].(connect.WordMethod); ok {
			options = connect.OptionsOf(m)
		}
		if got := strings.TrimSpace(columns[3]); got != strings.Join(options, ", ") {
			t.Errorf("docs/hops.md has for %s the options %s\nwant %s", name, got, strings.Join(options, ", "))
		}
		for word, m := range words {
			if n, _, _ := strings.Cut(word, ":"); n == name && reflect.TypeOf(m) != reflect.TypeOf(hops[0]) {
				t.Errorf("the example of %s is a %T, want a %T", name, hops[0], m)
			}
		}
	}
	for word := range words {
		if name, _, _ := strings.Cut(word, ":"); !documented[name] {
			t.Errorf("docs/hops.md lacks %s", name)
		}
	}
	if len(documented) != len(words) {
		t.Errorf("docs/hops.md has %d words, the tests %d", len(documented), len(words))
	}
}
