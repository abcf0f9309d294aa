package settings

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// user gives the test a home without settings, and returns it and the directory of its settings.
func user(t *testing.T) (home, dir string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("AppData", filepath.Join(home, ".config"))
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv(FileVariable, "")
	for _, k := range Keys() {
		t.Setenv(k.Variable(), "")
	}
	dir, err := Dir()
	if err != nil || !strings.HasPrefix(dir, home) {
		t.Fatalf("the directory of settings is %q, %v; want it in %s", dir, err, home)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return home, dir
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

func TestWithoutAFileAllIsDefault(t *testing.T) {
	user(t)
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	if !reflect.DeepEqual(s, want) {
		t.Errorf("the settings are %+v, want %+v", s, want)
	}
	for _, k := range Keys() {
		if from := s.Source(k.Name); from.Kind != Default {
			t.Errorf("%s comes from %+v, want its default", k.Name, from)
		}
	}
}

func TestAFileIsReadTyped(t *testing.T) {
	home, dir := user(t)
	write(t, filepath.Join(dir, "config.yaml"), `# all of them
user: deploy
identity: [~/.ssh/fleet, keys/lab]
ssh_config: ~/.ssh/fleet_config
inventory:
  - hosts.yaml
  - /etc/hosts.ini
  - web[1-3],db
connect_timeout: 1m30s
fan_out: 64
cache: yes
packed_cache: /var/cache/mine
colours: Never
log: info
broker: auto
broker_idle: 1h
`, 0o600)
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	want := &Settings{
		User: "deploy", Identity: []string{"~/.ssh/fleet", filepath.Join(dir, "keys/lab")}, SSHConfig: filepath.Join(home, ".ssh/fleet_config"),
		Inventory:      []string{filepath.Join(dir, "hosts.yaml"), "/etc/hosts.ini", "web[1-3],db"},
		ConnectTimeout: 90 * time.Second, FanOut: 64, Cache: true, PackedCache: "/var/cache/mine", Colours: Never, Log: slog.LevelInfo,
		Broker: Auto, BrokerIdle: time.Hour, File: filepath.Join(dir, "config.yaml"),
	}
	from := s.from
	if s.from = nil; !reflect.DeepEqual(s, want) {
		t.Errorf("the settings are\n%+v, want\n%+v", s, want)
	}
	if len(from) != len(Keys()) || from["user"] != (Source{Kind: File, Line: 2, Column: 1}) || from["broker"].Line != 15 {
		t.Errorf("the sources are %+v, want a line of the file for each key", from)
	}
}

// The environment counts more than the file, and one key at a time.
func TestTheEnvironmentCountsMore(t *testing.T) {
	_, dir := user(t)
	write(t, filepath.Join(dir, "config.yaml"), "user: deploy\ncolours: always\ninventory: one\n", 0o644)
	t.Setenv("MITOSIS_USER", "admin")
	t.Setenv("MITOSIS_INVENTORY", strings.Join([]string{"here", "/there"}, string(filepath.ListSeparator)))
	t.Setenv("MITOSIS_CACHE", "no")
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if s.User != "admin" || s.Colours != Always || fmt.Sprint(s.Inventory) != "[here /there]" || s.Cache {
		t.Errorf("the settings are %+v, want the user and the inventory of the environment, and the colours of the file", s)
	}
	if from := s.Source("user"); from != (Source{Kind: Environment, Variable: "MITOSIS_USER"}) {
		t.Errorf("the user comes from %+v", from)
	}
	if from := s.Source("colours"); from != (Source{Kind: File, Line: 2, Column: 1}) {
		t.Errorf("the colours come from %+v", from)
	}
}

// Each fault names its place and what may have been meant, and does not hide the next one.
func TestFaultsNameTheirPlace(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"unknown":        {"user: a\ncolors: never\n", []string{`:2:1: there is no key "colors": did you mean colours?`}},
		"dashes":         {"connect-timeout: 3s\n", []string{`:1:1: there is no key "connect-timeout": did you mean connect_timeout?`}},
		"shortened":      {"idle: 3s\n", []string{`:1:1: there is no key "idle"`}},
		"nothing near":   {"elephant: 3\n", []string{`:1:1: there is no key "elephant"`}},
		"several":        {"fanout: 3\nlog: wran\nbroker: maybe\n", []string{`:1:1: there is no key "fanout": did you mean fan_out?`, `:2:6: log: "wran" is none of debug, info, warn, error: did you mean warn?`, `:3:9: broker: "maybe" is none of yes, no, auto`}},
		"twice":          {"log: warn\nuser: a\nlog: info\n", []string{`:3:1: log is there twice; the first is on line 1`}},
		"no unit":        {"connect_timeout: 20\n", []string{`:1:18: connect_timeout: "20" is no time above 0 with a unit, such as 20s or 10m`}},
		"backwards":      {"broker_idle: -1m\n", []string{`:1:14: broker_idle: "-1m" is no time above 0 with a unit, such as 20s or 10m`}},
		"zero":           {"fan_out: 0\n", []string{`:1:10: fan_out: "0" is no number from 1 on`}},
		"too large":      {"fan_out: 99999999999\n", []string{`:1:10: fan_out: "99999999999" is no number from 1 on`}},
		"null":           {"user:\n", []string{`:1:6: user: it has no value`}},
		"empty":          {"user: ''\n", []string{`:1:7: user: it has no value`}},
		"list":           {"user: [a, b]\n", []string{`:1:7: user: it is one value: NAME`}},
		"mapping":        {"inventory: {a: b}\n", []string{`:1:12: inventory: it is one value: FILES`}},
		"nested":         {"identity:\n  - a\n  - [b]\n", []string{`:3:5: identity: it is a list of names, and this is none`}},
		"section":        {"web*:\n  user: a\n", []string{`:1:1: there is no key "web*"`}},
		"merge":          {"<<: {user: a}\n", []string{`:1:1: there is no key "<<"`}},
		"odd key":        {"? [user]\n: a\n", []string{`:1:3: there is no key ""`}},
		"no mapping":     {"user\n", []string{`:1:1: the file is a list of lines KEY: VALUE, and here it is none`}},
		"second":         {"user: a\n---\nuser: b\n", []string{`:2:1: a second document begins, where the file has one`}},
		"syntax":         {"user: a\nlog: [warn\ncache: yes\n", []string{`:3:6: did not find expected ',' or ']'`}},
		"colon":          {"user: a: b\n", []string{`:1:8: mapping values are not allowed in this context`}},
		"tab":            {"\tuser: a\n", []string{`:1:1: found character that cannot start any token`}},
		"no anchor":      {"user: *u\n", []string{`:1:7: unknown anchor 'u' referenced`}},
		"binary":         {"user: a\nlog: w\x00arn\n", []string{`:2:7: control characters are not allowed`}},
		"not utf-8":      {"user: a\nlog: w\xffarn\n", []string{`:2:7: invalid leading UTF-8 octet`}},
		"escape":         {"user: \"a\\e[31m\"\n", []string{`:1:7: user: "a\x1b[31m" has control characters`}},
		"standard input": {"inventory: '-'\n", []string{`:1:12: inventory: "-", standard input, can't be the inventory of all commands`}},
		"other's home":   {"identity: ~root/key\n", []string{`:1:11: identity: "~root/key": the home directory of another user has to be written out`}},
		"colour":         {"colours: yes\n", []string{`:1:10: colours: "yes" is none of auto, always, never`}},
		"spelled wrong":  {"colours: allways\n", []string{`:1:10: colours: "allways" is none of auto, always, never: did you mean always?`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := user(t)
			file := filepath.Join(dir, "config.yaml")
			write(t, file, c.text, 0o600)
			_, err := Load()
			if err == nil {
				t.Fatalf("%q was read without an error, want %q", c.text, c.want)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("the error is %q, want %d lines", err, len(c.want))
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, file+c.want[i]) || strings.Contains(line, "did you mean") && line != file+c.want[i] {
					t.Errorf("the error is %q, want %q", line, file+c.want[i])
				}
			}
		})
	}
}

func TestAFaultInTheEnvironmentNamesTheVariable(t *testing.T) {
	user(t)
	t.Setenv("MITOSIS_LOG", "loud")
	t.Setenv("MITOSIS_FAN_OUT", "many")
	_, err := Load()
	want := "MITOSIS_FAN_OUT: \"many\" is no number from 1 on\nMITOSIS_LOG: \"loud\" is none of debug, info, warn, error"
	if err == nil || err.Error() != want {
		t.Errorf("the error is %v, want\n%s", err, want)
	}
}

// A value with a fault leaves the setting as it was, and those beside it count.
func TestFaultsDoNotSpoilTheRest(t *testing.T) {
	_, dir := user(t)
	write(t, filepath.Join(dir, "config.yaml"), "log: loud\nuser: deploy\nbroker: auto\n", 0o600)
	s, err := Load()
	if err == nil || s.Log != slog.LevelWarn || s.User != "deploy" || s.Broker != Auto {
		t.Errorf("the settings are %+v, %v; want all but the log", s, err)
	}
}

func TestEmptyFilesSetNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}\n", "~\n", "\ufeff"} {
		_, dir := user(t)
		write(t, filepath.Join(dir, "config.yaml"), text, 0o600)
		if s, err := Load(); err != nil || s.File == "" || len(s.from) > 0 {
			t.Errorf("%q: the settings are %+v, %v; want the defaults", text, s, err)
		}
	}
}

func TestAnchorsAndFlowAreYAML(t *testing.T) {
	_, dir := user(t)
	write(t, filepath.Join(dir, "config.yaml"), "{user: &u deploy, identity: [*u], log: \"info\"}\n", 0o600)
	if s, err := Load(); err != nil || s.User != "deploy" || len(s.Identity) != 1 || filepath.Base(s.Identity[0]) != "deploy" || s.Log != slog.LevelInfo {
		t.Errorf("the settings are %+v, %v", s, err)
	}
}

// The variable names another file; one that it names must be there.
func TestAnotherFile(t *testing.T) {
	home, dir := user(t)
	write(t, filepath.Join(dir, "config.yaml"), "user: first\n", 0o600)
	other := filepath.Join(home, "other.yaml")
	write(t, other, "user: second\ninventory: hosts\n", 0o600)
	t.Setenv(FileVariable, other)
	if s, err := Load(); err != nil || s.User != "second" || s.File != other || s.Inventory[0] != filepath.Join(home, "hosts") {
		t.Errorf("the settings are %+v, %v; want those of %s", s, err, other)
	}
	for _, none := range []string{"none", os.DevNull} {
		t.Setenv(FileVariable, none)
		if s, err := Load(); err != nil || s.User != "" || s.File != "" {
			t.Errorf("%s: the settings are %+v, %v; want no file", none, s, err)
		}
	}
	for _, missing := range []string{filepath.Join(home, "missing.yaml"), home} {
		t.Setenv(FileVariable, missing)
		if s, err := Load(); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s: the settings are %+v, %v; want an error with the name", missing, s, err)
		}
	}
}

func TestInventoryBesideTheFileIsTheDefault(t *testing.T) {
	_, dir := user(t)
	inventory := filepath.Join(dir, "inventory.yaml")
	write(t, inventory, "hosts: {a: }\n", 0o644)
	if s, err := Load(); err != nil || len(s.Inventory) != 1 || s.Inventory[0] != inventory || s.Source("inventory").Kind != Default {
		t.Errorf("the inventory is %v, %v; want %s", s.Inventory, err, inventory)
	}
	write(t, filepath.Join(dir, "config.yaml"), "inventory: []\n", 0o600)
	if s, err := Load(); err != nil || len(s.Inventory) != 0 || s.Source("inventory").Kind != File {
		t.Errorf("the inventory is %v, %v; want none, as the file says", s.Inventory, err)
	}
}

// A relative $XDG_CONFIG_HOME does not count, as its specification says.
func TestRelativeDirectoryDoesNotCount(t *testing.T) {
	home, _ := user(t)
	t.Setenv("XDG_CONFIG_HOME", "relative")
	if dir, err := Dir(); err != nil || !strings.HasPrefix(dir, home) {
		t.Errorf("the directory is %q, %v; want one in %s", dir, err, home)
	}
}

// What the documentation and the messages show of a value is read as the same value.
func TestValuesAreReadAsTheyAreShown(t *testing.T) {
	user(t)
	s := Defaults()
	s.ConnectTimeout = 90 * time.Second
	for _, k := range Keys() {
		if k.list || k.Value(s) == nil {
			continue
		}
		shown := fmt.Sprint(k.Value(s))
		again := Defaults()
		if err := again.set(&k, []string{shown}, place{}); err != nil || fmt.Sprint(k.Value(again)) != shown {
			t.Errorf("%s is shown as %q, and read as %v, %v", k.Name, shown, k.Value(again), err)
		}
	}
	for d, want := range map[time.Duration]string{10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Second: "1m30s", 20 * time.Second: "20s", 90 * time.Minute: "1h30m", 100 * time.Second: "1m40s"} {
		if got := timeText(d); got != want {
			t.Errorf("%v is shown as %q, want %q", d, got, want)
		}
	}
}
