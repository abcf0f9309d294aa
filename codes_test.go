package mitosis_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// registered returns the codes of errors that a source file gives out, by the
// calls of RegisterSentinel in it. It fails the test for a call that it can't read.
func registered(t *testing.T, file string) map[uint64]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[uint64]string)
	number := func(e ast.Expr) (uint64, bool) {
		lit, ok := e.(*ast.BasicLit)
		if !ok {
			return 0, false
		}
		n, err := strconv.ParseUint(lit.Value, 0, 64)
		return n, err == nil
	}
	name := func(e ast.Expr) string {
		if s, ok := e.(*ast.SelectorExpr); ok {
			return fmt.Sprintf("%s.%s", s.X, s.Sel)
		}
		return fmt.Sprintf("%s.%s", parsed.Name, e)
	}
	for _, d := range parsed.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name == "RegisterSentinel" {
			continue
		}
		var calls []*ast.CallExpr
		var lists []*ast.CompositeLit // what the calls in a loop run over
		ast.Inspect(fn, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				callee := n.Fun
				if s, ok := callee.(*ast.SelectorExpr); ok {
					callee = s.Sel
				}
				if id, ok := callee.(*ast.Ident); ok && id.Name == "RegisterSentinel" && len(n.Args) == 2 {
					calls = append(calls, n)
				}
			case *ast.CompositeLit:
				lists = append(lists, n)
			}
			return true
		})
		for _, call := range calls {
			if code, ok := number(call.Args[0]); ok {
				codes[code] = name(call.Args[1])
				continue
			}
			if len(lists) != 1 {
				t.Errorf("%s: RegisterSentinel is called with a code that is no number and comes from no single list", file)
				continue
			}
			first := uint64(0)
			if sum, ok := call.Args[0].(*ast.BinaryExpr); ok {
				first, _ = number(sum.X)
			}
			for i, e := range lists[0].Elts {
				code, value := first+uint64(i), e
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					code, _ = number(kv.Key)
					value = kv.Value
				}
				codes[code] = name(value)
			}
		}
	}
	return codes
}

// Codes of errors travel between contexts, so the registry in docs/wire-codes.md
// has each of them, with the file that gives it out.
func TestRegistryOfWireCodes(t *testing.T) {
	type place struct{ name, file string }
	inCode := make(map[uint64]place)
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for code, name := range registered(t, path) {
			if other, ok := inCode[code]; ok {
				t.Errorf("code %d is given out twice: in %s and in %s", code, other.file, path)
			}
			inCode[code] = place{name, filepath.ToSlash(path)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("docs/wire-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	inDocument := make(map[uint64]place)
	for _, m := range regexp.MustCompile("(?m)^\\| ([0-9]+) \\| `(.+)` \\| `(.+)` \\|$").FindAllStringSubmatch(string(text), -1) {
		code, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		inDocument[code] = place{m[2], m[3]}
	}
	if len(inCode) < 50 {
		t.Fatalf("found only %d codes in the sources, want all that are given out", len(inCode))
	}
	all := maps.Clone(inCode)
	maps.Copy(all, inDocument)
	for _, code := range slices.Sorted(maps.Keys(all)) {
		if got, want := inDocument[code], inCode[code]; got != want {
			t.Errorf("docs/wire-codes.md has code %d as %+v, the sources have %+v", code, got, want)
		}
	}
}
