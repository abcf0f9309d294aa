package integration

import (
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

// allowedImports lists the packages of this module that a package may import. No package imports
// one above it. A package without a row has the row of the nearest package above it in the
// directory tree. A program and its copies carry only imported packages: so package contexts must
// not import packages that serve only some programs.
var allowedImports = map[string][]string{
	".": {}, // the module's root: documentation and the version

	"ansible/worker":  {"bootstrap", "contexts"}, // a function of hosts alone
	"contexts/attach": {"core", "bootstrap", "contexts", "contexts/internal/succession", "internal/usersocket"},

	// A broker's functions are apart from it: a small agent has them, and no broker.
	"contexts/broker":               {"core", "connect", "contexts", "contexts/attach", "contexts/files", "contexts/pool", "contexts/broker/client", "contexts/broker/door", "contexts/broker/internal/wire", "internal", "internal/resolve", "internal/usersocket"},
	"contexts/broker/client":        {"connect", "contexts/broker/internal/wire", "internal/usersocket"},
	"contexts/broker/door":          {"connect", "contexts"},
	"contexts/broker/internal/wire": {"connect"},

	"core":                {},
	"internal/descriptor": {},                      // descriptors of files, where package os has no method
	"internal/resolve":    {},                      // names, as the system resolves them
	"internal/usersocket": {"internal/descriptor"}, // unix sockets of one user alone
	"router":              {"core"},
	"bootstrap":           {"core"},
	"connect":             {"core", "bootstrap", "connect/internal/printable"}, // the contract
	"contexts": {"core", "router", "bootstrap", "connect", "internal/resolve",
		"contexts/internal/call", "contexts/internal/command", "contexts/internal/forward", "contexts/internal/images", "contexts/internal/items",
		"contexts/internal/logs", "contexts/internal/mail", "contexts/internal/succession", "contexts/internal/tree"},

	// The engines of contexts know no nodes, and import only these engines.
	"contexts/internal/items":      {"core"},
	"contexts/internal/logs":       {"core", "internal/descriptor"},
	"contexts/internal/tree":       {"core", "router", "bootstrap", "connect"},
	"contexts/internal/call":       {"core", "contexts/internal/tree"},
	"contexts/internal/mail":       {"core", "router", "contexts/internal/items", "contexts/internal/tree"},
	"contexts/internal/forward":    {"core", "router", "contexts/internal/items"},
	"contexts/internal/command":    {"core", "router", "bootstrap", "contexts/internal/items", "internal/descriptor"},
	"contexts/internal/images":     {"core", "bootstrap"},
	"contexts/internal/succession": {"core", "bootstrap"},

	// The methods import the contract and the packages that they share. None imports another.
	"connect/ssh":                {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable", "internal/resolve"},
	"connect/openssh":            {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable"},
	"connect/become":             {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable"},
	"connect/container":          {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable"},
	"connect/console":            {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable", "internal/descriptor"},
	"connect/local":              {"core", "bootstrap", "connect", "connect/internal", "connect/internal/printable"},
	"connect/all":                {"connect/ssh", "connect/openssh", "connect/become", "connect/container", "connect/console", "connect/local"},
	"connect/internal":           {"core", "bootstrap", "connect", "connect/internal/printable", "internal/descriptor"},
	"connect/internal/printable": {},

	"contexts/internal/treetest": {"contexts", "connect/local"}, // only for tests

	"contexts/files":                   {"core", "contexts", "contexts/files/internal/disk", "contexts/files/internal/wire", "contexts/files/internal/checksum", "internal/usersocket"},
	"contexts/files/internal/disk":     {}, // one file system: it knows no copies
	"contexts/files/internal/wire":     {"core"},
	"contexts/files/internal/checksum": {"contexts/files/internal/disk", "contexts/files/internal/wire"},

	"contexts/sftp":            {"contexts"},
	"contexts/socks":           {"contexts"},
	"fakessh":                  {"contexts", "contexts/sftp", "contexts/socks", "internal", "internal/descriptor", "internal/resolve"},
	"internal":                 {"contexts", "contexts/socks"},
	"cmd":                      {"ansible/worker", "contexts", "contexts/attach", "contexts/broker", "contexts/broker/client", "contexts/broker/door", "contexts/files", "contexts/fleet", "contexts/fleet/copies", "contexts/fleet/inventory", "contexts/fleet/journal", "contexts/socks", "connect", "connect/all", "fakessh", "bootstrap", "internal", "internal/descriptor", "internal/resolve", "."},
	"contexts/facts":           {"contexts", "contexts/fleet"},
	"contexts/retry":           {}, // it knows neither contexts nor what is tried
	"contexts/pool":            {"connect", "contexts", "contexts/retry"},
	"contexts/fleet":           {"core", "connect", "contexts", "contexts/retry"},
	"contexts/fleet/copies":    {"contexts", "contexts/files", "contexts/fleet"},
	"contexts/fleet/journal":   {"contexts/fleet"},
	"contexts/fleet/inventory": {"contexts/fleet", "connect", "connect/ssh", "connect/openssh", "connect/become"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out := goCommand(t, "list", "-json=ImportPath,Imports", module+"...")
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// room returns the name of the row for a package of this module. For a package without a row it
// returns the top-level directory.
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
	t.Parallel()
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
		t.Fatalf("the go command has listed %d packages of this module, want at least 8", seen)
	}
}

// Package contexts does not import packages that make every image much larger, or that use
// reflection on methods.
func TestHeavyPackagesStayOut(t *testing.T) {
	t.Parallel()
	deps := strings.Fields(goCommand(t, "list", "-deps", module+"contexts"))
	for _, heavy := range []string{"net/http", "text/template", "html/template", "net/rpc", "encoding/gob", "testing"} {
		if slices.Contains(deps, heavy) {
			t.Errorf("package contexts depends on %s, want it out of every image", heavy)
		}
	}
}

// A program that does not import the ssh client does not carry it.
func TestSSHIsOptIn(t *testing.T) {
	t.Parallel()
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

// imageLimits bound the sizes of images, because an image crosses every first hop. The two
// promises are for images packed ahead of time for a host with zstd, the smallest form.
// examples/chain, which has the ssh client, has at most 2.45 MB, and examples/callback, which has
// not, 2.05 MB. The other limits are for other forms of these, and for another example.
var imageLimits = map[string]packedSizes{
	"callback":   {zstdBest: 2_050_000, zstd: 2_150_000, gzip: 2_250_000, gzipBest: 2_240_000},
	"chain":      {zstdBest: 2_450_000, zstd: 2_600_000, gzip: 2_680_000, gzipBest: 2_670_000},
	"quickstart": {zstdBest: 2_500_000, zstd: 2_650_000, gzip: 2_730_000, gzipBest: 2_720_000}, // it has an ssh server as well
}

// packedSizes are the sizes of one executable in each packed form, in bytes.
type packedSizes struct{ gzip, gzipBest, zstd, zstdBest int }

// buildExample builds a program of examples as README.md says for programs that are delivered.
func buildExample(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	goCommand(t, "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, module+"examples/"+name)
	return bin
}

// goCommand runs the go command in the module that is tested, which is not the one of these
// tests, and returns its output.
func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// A user who imports the module gets the modules that its packages need, and none that only the
// tests against real tools need.
func TestImportersGetNoModuleOfTheseTests(t *testing.T) {
	t.Parallel()
	modules := strings.Fields(goCommand(t, "list", "-m", "-f", "{{.Path}}", "all"))
	for _, stranger := range []string{"github.com/jackc/pgx/v5", "github.com/santhosh-tekuri/jsonschema/v6", "honnef.co/go/tools"} {
		if slices.Contains(modules, stranger) {
			t.Errorf("go.mod of the module requires %s, want that in integration/go.mod only", stranger)
		}
	}
}

func TestImageSize(t *testing.T) {
	t.Parallel()
	for example, limit := range imageLimits {
		bin := buildExample(t, example)
		out := goCommand(t, "run", module+"bootstrap/internal/imagesize", bin)
		var built, slim int
		var is packedSizes
		if _, err := fmt.Sscanf(strings.TrimPrefix(out, bin), " built %d slim %d gzip %d best %d zstd %d best %d",
			&built, &slim, &is.gzip, &is.gzipBest, &is.zstd, &is.zstdBest); err != nil {
			t.Fatalf("the sizes can't be read, %v: %s", err, out)
		}
		t.Logf("%s: %d bytes, slim %d, sent as %+v", example, built, slim, is)
		if is.gzip > limit.gzip || is.gzipBest > limit.gzipBest || is.zstd > limit.zstd || is.zstdBest > limit.zstdBest {
			t.Errorf("the image of %s is sent as %+v bytes, want at most %+v", example, is, limit)
		}
	}
}
