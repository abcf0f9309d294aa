//go:build linux

package broker_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/pool"
)

// put sends a file, with credit, and returns the last frame.
func (c *conn) put(request header, body []byte, data []byte) *answer {
	c.t.Helper()
	request["op"], request["path"] = "put", "local"
	c.send(request, body)
	credit := int64(262_144)
	for first := true; first || len(data) > 0; first = false {
		for credit == 0 {
			f := c.next()
			if f.final() {
				return &answer{heard: f}
			}
			credit += f.Credit
		}
		n := int(min(credit, int64(len(data)), 60_000))
		credit -= int64(n)
		c.send(header{"stream": "data", "end": n == len(data)}, data[:n])
		data = data[n:]
	}
	return c.finish()
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	large := make([]byte, 64<<20)
	_, _ = rand.Read(large)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"empty": {}, "small": []byte("a"), "one credit": large[:262_144], "large": large} {
		sum := sha256.Sum256(data)
		target := filepath.Join(dir, name)
		a := c.put(header{"target": target, "mode": "0640"}, nil, data).want(t, "")
		if a.Target != target || *a.Size != int64(len(data)) || a.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("put %s: %v, want its name, size and sum", name, a.heard)
		}
		a = c.ask(header{"op": "get", "path": "local", "source": target}).want(t, "")
		if a.streams["data"] != string(data) || !a.ended["data"] || *a.Size != int64(len(data)) || a.SHA256 != hex.EncodeToString(sum[:]) || a.Mode != "0640" || a.Mtime == nil {
			t.Errorf("get %s: %v and %d bytes, want the same, its mode and time", name, a.heard, len(a.streams["data"]))
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 4 {
		t.Errorf("%v, want four files", left)
	}
}

func TestPutOptions(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	mode := func(name string) string {
		info, err := os.Stat(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%04o", uint32(info.Sys().(*syscall.Stat_t).Mode)&0o7777)
	}
	for name, test := range map[string]struct {
		request header
		mode    string
	}{
		"no mode":       {header{}, "0600"},
		"a mode":        {header{"mode": "0666"}, "0666"},
		"a short mode":  {header{"mode": "7"}, "0007"},
		"special bits":  {header{"mode": "6755"}, "6755"},
		"nobody's file": {header{"mode": "0000"}, "0000"},
		"synced":        {header{"sync": true, "mode": "0644"}, "0644"},
		"a time":        {header{"times": 1e9 + 0.25}, "0600"},
		"an old time":   {header{"times": -1.5}, "0600"},
	} {
		test.request["target"] = file(name)
		c.put(test.request, nil, []byte("data")).want(t, "")
		if got := mode(name); got != test.mode {
			t.Errorf("%s: mode %s, want %s", name, got, test.mode)
		}
		if at, ok := test.request["times"].(float64); ok {
			if info, _ := os.Stat(file(name)); info.ModTime().UnixMilli() != int64(at*1000) {
				t.Errorf("%s: %v, want %v", name, info.ModTime(), at)
			}
		}
	}
	for name, request := range map[string]header{
		"no octal":             {"mode": "0o644"},
		"a large mode":         {"mode": "17777"},
		"a negative mode":      {"mode": "-1"},
		"a time far away":      {"times": 1e300},
		"no name":              {"target": ""},
		"relative local":       {"local": "a/b"},
		"a name with a zero":   {"target": file("a\x00b")},
		"a directory":          {"target": dir},
		"a directory missing":  {"target": file("no/such/dir/file")},
		"a file for directory": {"target": file("a mode/file")},
	} {
		if request["target"] == nil {
			request["target"] = file("never")
		}
		c.send(merged(request, header{"op": "put", "path": "local"}), nil)
		if request["local"] == nil {
			c.send(header{"stream": "data", "end": true}, []byte("x"))
		}
		a := c.finish()
		if a.kind() == "" {
			t.Errorf("%s: %v, want an error", name, a.heard)
		}
		want := map[string]string{"no octal": "usage", "a large mode": "usage", "a negative mode": "usage", "a time far away": "usage", "no name": "usage",
			"relative local": "usage", "a directory missing": "not_found", "a file for directory": "not_directory"}[name]
		if want != "" && a.kind() != want {
			t.Errorf("%s: %v, want %s", name, a.heard, want)
		}
		if _, err := os.Lstat(file("never")); err == nil {
			t.Errorf("%s: there is a file now", name)
		}
	}
	// An existing file keeps its mode; in place it stays the same file.
	c.put(header{"target": file("a mode")}, nil, []byte("other")).want(t, "")
	if mode("a mode") != "0666" {
		t.Errorf("the file has mode %s now, want that of before", mode("a mode"))
	}
	if err := os.Link(file("a mode"), file("link")); err != nil {
		t.Fatal(err)
	}
	c.put(header{"target": file("a mode"), "in_place": true}, nil, []byte("in place")).want(t, "")
	if b, _ := os.ReadFile(file("link")); string(b) != "in place" {
		t.Errorf("the other name of the file has %q, want that it was written in place", b)
	}
	c.put(header{"target": file("a mode"), "in_place": false}, nil, []byte("new")).want(t, "")
	if b, _ := os.ReadFile(file("link")); string(b) != "in place" {
		t.Errorf("the other name of the file has %q, want the old contents", b)
	}
}

func merged(all ...header) header {
	h := make(header)
	for _, one := range all {
		for k, v := range one {
			h[k] = v
		}
	}
	return h
}

// Half a put leaves nothing, and the old file.
func TestHalfAPut(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, old := range []bool{false, true} {
		for _, how := range []string{"cancel", "death", "shutdown", "time", "broker's end"} {
			s := s
			if how == "broker's end" {
				s = serve(t, nil)
			}
			dir := t.TempDir()
			target := filepath.Join(dir, "file")
			if old {
				if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := s.dial()
			request := header{"op": "put", "path": "local", "target": target}
			if how == "time" {
				request["timeout"] = 0.3
			}
			c.send(request, nil)
			c.send(header{"stream": "data"}, make([]byte, 262_144))
			c.until("that it is written", func(f *heard) bool { return f.Credit > 0 })
			c.send(header{"stream": "data"}, make([]byte, 1000))
			switch how {
			case "cancel":
				c.send(header{"cancel": true}, nil)
				c.finish().want(t, "cancelled")
			case "time":
				c.finish().want(t, "timeout")
			case "death":
				c.net.Close()
			case "shutdown":
				_ = c.net.CloseWrite()
			case "broker's end":
				s.cancel()
				_ = s.wait("its ctx has ended")
			}
			eventually(t, fmt.Sprintf("after half a put and %s only the old file is there", how), func() bool {
				left, _ := os.ReadDir(dir)
				b, _ := os.ReadFile(target)
				return !old && len(left) == 0 || old && len(left) == 1 && string(b) == "old"
			})
		}
	}
}

// A get whose client takes little waits for credit, and can be cancelled then.
func TestGetWindow(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c.send(header{"op": "get", "path": "local", "source": file, "window": 100_000}, nil)
	if got := len(c.said("data", 100_000)); got != 100_000 {
		t.Errorf("%d bytes, want as many as were allowed", got)
	}
	c.send(header{"cancel": true}, nil)
	c.finish().want(t, "cancelled")
	for name, kind := range map[string]string{"/no/such": "not_found", "/usr": "error", "/etc/hostname/x": "not_directory"} {
		c.ask(header{"op": "get", "path": "local", "source": name}).want(t, kind)
	}
}

// With local the broker reads and writes files of its host, trees too.
func TestLocalCopies(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "from/below"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "from/below/file"), []byte("text"), 0o640); err != nil {
		t.Fatal(err)
	}
	c.ask(header{"op": "put", "path": "local", "local": dir + "/from", "target": dir + "/there"}).want(t, "")
	c.ask(header{"op": "get", "path": "local", "local": dir + "/back", "source": dir + "/there"}).want(t, "")
	if b, err := os.ReadFile(dir + "/back/below/file"); string(b) != "text" {
		t.Errorf("%q, %v; want the tree back", b, err)
	}
	c.ask(header{"op": "put", "path": "local", "local": dir + "/nothing", "target": dir + "/x"}).want(t, "not_found")
}

func TestDirectories(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	dir := t.TempDir()
	at := func(op, name string, more ...header) *answer {
		return c.ask(merged(append(more, header{"op": op, "path": "local", "name": filepath.Join(dir, name)})...))
	}
	at("mkdir", "a", header{"mode": "0700"}).want(t, "")
	at("mkdir", "a").want(t, "exists")
	at("mkdir", "b/c/d").want(t, "not_found")
	at("mkdir", "b/c/d", header{"parents": true, "mode": "0750"}).want(t, "")
	if err := os.WriteFile(filepath.Join(dir, "a/file"), []byte("12345"), 0o604); err != nil {
		t.Fatal(err)
	}
	_ = os.Symlink("file", filepath.Join(dir, "a/link"))
	_ = syscall.Mkfifo(filepath.Join(dir, "a/pipe"), 0o600)
	f := at("stat", "a/link").want(t, "").File
	if f.Name != "link" || f.Type != "link" || f.Target != "file" {
		t.Errorf("%+v, want a link and its target", f)
	}
	f = at("stat", "a/link", header{"follow": true}).want(t, "").File
	if f.Type != "file" || f.Size != 5 || f.Mode != "0604" || f.UID != os.Getuid() || time.Since(time.UnixMicro(int64(f.Mtime*1e6))) > time.Hour {
		t.Errorf("%+v, want the file behind the link", f)
	}
	at("stat", "nothing").want(t, "not_found")
	at("stat", "a/file/below").want(t, "not_directory")
	if f = c.ask(header{"op": "stat", "path": "local", "name": "/"}).want(t, "").File; f.Type != "directory" {
		t.Errorf("%+v, want the root directory", f)
	}
	var names []string
	for _, one := range at("list_dir", "a").want(t, "").frames {
		for _, f := range one.Files {
			names = append(names, f.Name+" "+f.Type)
		}
	}
	slices.Sort(names)
	if got := strings.Join(names, ","); got != "file file,link link,pipe pipe" {
		t.Errorf("%s, want the three files", got)
	}
	at("list_dir", "a/file").want(t, "not_directory")
	at("list_dir", "nothing").want(t, "not_found")
	at("rename", "a/file", header{"target": filepath.Join(dir, "b/moved")}).want(t, "")
	at("rename", "a/file", header{"target": filepath.Join(dir, "b/moved")}).want(t, "not_found")
	at("rename", "a/link").want(t, "usage")
	at("remove", "b").want(t, "not_empty")
	at("remove", "b", header{"recursive": true}).want(t, "")
	at("remove", "b", header{"recursive": true}).want(t, "")
	at("remove", "b").want(t, "not_found")
	at("remove", "a/pipe").want(t, "")
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%v, want one directory", left)
	}
}

// Names are bytes: those that are no UTF-8 go into the body, and come back beside the name.
func TestNamesAreBytes(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	dir := t.TempDir()
	const odd = "a\xff\xfe\nb\x01<"
	name := filepath.Join(dir, odd)
	a := c.put(header{}, []byte(name), []byte("data")).want(t, "")
	if b, err := os.ReadFile(name); string(b) != "data" {
		t.Fatalf("%q, %v; want the data in the file", b, err)
	}
	if a.SHA256 == "" {
		t.Errorf("%v, want a sum", a.heard)
	}
	if a = c.ask(header{"op": "get", "path": "local"}, []byte(name)...).want(t, ""); a.streams["data"] != "data" {
		t.Errorf("%v, want the data", a.streams)
	}
	if f := c.ask(header{"op": "stat", "path": "local"}, []byte(name)...).want(t, "").File; string(f.Bytes) != odd {
		t.Errorf("%+v, want the bytes of the name", f)
	}
	a = c.ask(header{"op": "list_dir", "path": "local", "name": dir}).want(t, "")
	if len(a.frames) != 1 || len(a.frames[0].Files) != 1 || string(a.frames[0].Files[0].Bytes) != odd {
		t.Errorf("%v, want the bytes of the name", a.frames)
	}
	c.ask(header{"op": "rename", "path": "local"}, []byte(name+"\x00"+name+"2\x00")...).want(t, "")
	c.ask(header{"op": "rename", "path": "local"}, []byte(name)...).want(t, "usage")
	c.ask(header{"op": "mkdir", "path": "local"}, []byte(name)...).want(t, "")
	c.ask(header{"op": "remove", "path": "local"}, []byte(name+"2")...).want(t, "")
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != odd || !left[0].IsDir() {
		t.Errorf("%v, want one directory", left)
	}
}

// A directory of many long names, each byte of which takes six in JSON, is listed in full.
func TestLargeDirectory(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	dir := t.TempDir()
	const files = 1203
	for i := range files {
		name := fmt.Sprintf("%04d", i) + strings.Repeat("\xff", 251)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool)
	for _, f := range c.ask(header{"op": "list_dir", "path": "local", "name": dir}).want(t, "").frames {
		for _, file := range f.Files {
			seen[string(file.Bytes)] = true
		}
	}
	if len(seen) != files {
		t.Errorf("%d names, want %d", len(seen), files)
	}
}

// A relative name begins at the directory of the far side, for all requests alike.
func TestRelativeNames(t *testing.T) {
	s := serve(t, nil)
	c := s.dial()
	home := strings.TrimSpace(c.run("pwd"))
	name := fmt.Sprintf("mitosis-broker-test-%d", os.Getpid())
	defer os.Remove(filepath.Join(home, name))
	defer os.Remove(filepath.Join(home, name+"2"))
	a := c.put(header{"target": name, "times": 1e9}, nil, []byte("data")).want(t, "")
	if info, err := os.Stat(filepath.Join(home, name)); err != nil || info.ModTime().Unix() != 1e9 {
		t.Errorf("%v: %v, %v; want the file, with its time", a.heard, info, err)
	}
	c.ask(header{"op": "stat", "path": "local", "name": name}).want(t, "")
	c.ask(header{"op": "get", "path": "local", "source": name}).want(t, "")
	c.ask(header{"op": "rename", "path": "local", "name": name, "target": name + "2"}).want(t, "")
	c.ask(header{"op": "remove", "path": "local", "name": name + "2"}).want(t, "")
}

// Each request needs one use of a connection, so that any number of them ends.
func TestRequestsNeedOneUse(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{Pool: pool.Config{Uses: 1, PerHost: 1}})
	c := s.dial()
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	c.put(header{"target": file}, nil, []byte("data")).want(t, "")
	for _, h := range []header{
		{"op": "stat", "name": file},
		{"op": "list_dir", "name": dir},
		{"op": "get", "source": file},
		{"op": "rename", "name": file, "target": file + "b"},
		{"op": "remove", "name": file + "b"},
		{"op": "mkdir", "name": file},
		{"op": "exec", "argv": []string{"true"}},
	} {
		c.ask(merged(h, header{"path": "local", "timeout": 10})).want(t, "")
	}
}
