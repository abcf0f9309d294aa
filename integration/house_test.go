package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mitosis-go/mitosis/"

// allowedImports says which packages of the house a package may import. An
// arrow never points upward. A package has the row of the longest name that it
// is below: what a program does not import, its copies do not carry, so package
// contexts must not import those of its own that serve some programs only.
var allowedImports = map[string][]string{
	".": {}, // the module's root: documentation and the version

	"contexts/attach": {"core", "bootstrap", "contexts", "internal/descriptor"},

	"core":                {},
	"internal/descriptor": {}, // of files, where package os has no method
	"internal/resolve":    {}, // names, as the system knows them
	"router":              {"core"},
	"bootstrap":           {"core"},
	"connect":             {"core", "bootstrap", "connect/internal/printable"}, // the contract
	"contexts":            {"core", "router", "bootstrap", "connect", "internal/descriptor", "internal/resolve"},

	// The methods know the contract and what they share, and none knows another.
	"connect/ssh":                {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable", "internal/resolve"},
	"connect/openssh":            {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable"},
	"connect/become":             {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable"},
	"connect/container":          {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable"},
	"connect/console":            {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable", "internal/descriptor"},
	"connect/local":              {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable"},
	"connect/all":                {"connect/ssh", "connect/openssh", "connect/become", "connect/container", "connect/console", "connect/local"},
	"connect/internal":           {"core", "bootstrap", "connect", "connect/internal/printable", "internal/descriptor"},
	"connect/internal/printable": {},

	"contexts/internal/treetest": {"contexts", "connect/local"}, // of tests

	"contexts/files":           {"core", "contexts"},
	"contexts/sftp":            {"contexts"},
	"contexts/socks":           {"contexts"},
	"contexts/facts":           {"contexts"},
	"contexts/fleet":           {"core", "connect", "contexts"},
	"contexts/fleet/journal":   {"contexts/fleet"},
	"contexts/fleet/inventory": {"contexts/fleet", "connect", "connect/ssh", "connect/openssh", "connect/become"},
	"fakessh":                  {"contexts", "contexts/sftp", "contexts/socks", "internal", "internal/resolve"},
	"internal":                 {"contexts", "contexts/socks"},
	"cmd":                      {"contexts", "contexts/files", "contexts/socks", "connect", "connect/all", "fakessh", "bootstrap", "internal", "internal/descriptor", "internal/resolve", "."},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// room returns the row of a package of this module, or the top-level directory
// of one that has none.
func room(importPath string) (string, bool) {
	if importPath+"/" == module {
		return ".", true
	}
	rest, ours := strings.CutPrefix(importPath, module)
	name := rest
	for name != "." {
		if _, ok := allowedImports[name]; ok {
			return name, ours
		}
		name = path.Dir(name)
	}
	top, _, _ := strings.Cut(rest, "/")
	return top, ours
}

func TestImportsPointDownward(t *testing.T) {
	seen := 0
	for _, p := range listPackages(t) {
		from, _ := room(p.ImportPath)
		allowed, restricted := allowedImports[from]
		if !restricted {
			continue
		}
		seen++
		for _, imp := range p.Imports {
			to, ours := room(imp)
			if ours && to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s; %s may import only %v", p.ImportPath, imp, from, allowed)
			}
		}
	}
	if seen < 8 {
		t.Fatalf("only %d packages were looked at", seen)
	}
}

// What makes every image larger, or pulls in method reflection, stays out of
// what programs import.
func TestHeavyPackagesStayOut(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"contexts").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, heavy := range []string{"net/http", "text/template", "html/template", "net/rpc", "encoding/gob", "testing"} {
		if slices.Contains(strings.Fields(string(out)), heavy) {
			t.Errorf("package contexts depends on %s", heavy)
		}
	}
}

// A program that does not import the ssh client does not carry it.
func TestSSHIsOptIn(t *testing.T) {
	for pkg, want := range map[string]bool{
		"contexts": false, "connect": false, "connect/openssh": false, "connect/become": false, "connect/container": false,
		"connect/console": false, "connect/local": false, "examples/callback": false,
		"connect/ssh": true, "connect/all": true, "examples/chain": true,
	} {
		deps := strings.Fields(goCommand(t, "list", "-deps", module+pkg))
		if got := slices.Contains(deps, "golang.org/x/crypto/ssh"); got != want {
			t.Errorf("%s depends on golang.org/x/crypto/ssh: %v, want %v", pkg, got, want)
		}
	}
}

// The image crosses every first hop, so its size is a promise: examples/chain, which
// has the ssh client, is at most 2.45 MB for a host that has zstd, packed ahead of time,
// which is as small as can be; examples/callback, which has not, 2.05 MB. The other sizes are what the packers make of the same.
var imageLimits = map[string]packedSizes{
	"callback":   {zstdBest: 2_050_000, zstd: 2_150_000, gzip: 2_250_000, gzipBest: 2_240_000},
	"chain":      {zstdBest: 2_450_000, zstd: 2_600_000, gzip: 2_680_000, gzipBest: 2_670_000},
	"quickstart": {zstdBest: 2_500_000, zstd: 2_650_000, gzip: 2_730_000, gzipBest: 2_720_000}, // it has an ssh server, too
}

// packedSizes are of one executable, in bytes.
type packedSizes struct{ gzip, gzipBest, zstd, zstdBest int }

// buildExample builds a program of examples as it is to be delivered.
func buildExample(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	goCommand(t, "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, module+"examples/"+name)
	return bin
}

func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestImageSize(t *testing.T) {
	for example, limit := range imageLimits {
		bin := buildExample(t, example)
		out := goCommand(t, "run", module+"bootstrap/internal/imagesize", bin)
		var built, slim int
		var is packedSizes
		if _, err := fmt.Sscanf(strings.TrimPrefix(out, bin), " built %d slim %d gzip %d best %d zstd %d best %d",
			&built, &slim, &is.gzip, &is.gzipBest, &is.zstd, &is.zstdBest); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Logf("%s: %d bytes, slim %d, sent as %+v", example, built, slim, is)
		if is.gzip > limit.gzip || is.gzipBest > limit.gzipBest || is.zstd > limit.zstd || is.zstdBest > limit.zstdBest {
			t.Errorf("the image of %s is sent as %+v bytes, want at most %+v", example, is, limit)
		}
	}
}
