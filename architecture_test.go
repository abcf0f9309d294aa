package mitosis_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// names returns what a source file declares at its top level: functions, types,
// variables and constants, and methods as Type.Method.
func names(t *testing.T, file string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[string]bool)
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			declared[name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					declared[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						declared[n.Name] = true
					}
				}
			}
		}
	}
	return declared
}

// receiver returns the name of the type of a method's receiver.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// Who moves a function changes the lines of the documents that name it.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	for document, atLeast := range map[string]int{"docs/architecture.md": 100, "docs/wire-codes.md": 15, "docs/glossary.md": 0, "CONTRIBUTING.md": 3} {
		if pairs := checkNames(t, document); pairs < atLeast {
			t.Errorf("%s has %d pairs of a file and a name, want at least %d", document, pairs, atLeast)
		}
	}
}

// checkNames fails the test for each file that a document names, as `dir/file.go`
// or `dir/file.go: Name`, which is not there or does not declare the name. It returns the number
// of names.
func checkNames(t *testing.T, document string) (pairs int) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[string]map[string]bool) // by file
	inCode := regexp.MustCompile("`([a-z][A-Za-z0-9_.-]*/[A-Za-z0-9_./-]*?\\.go)(?:: ([A-Za-z0-9_.]+))?`")
	line := 0
	for l := range strings.Lines(string(text)) {
		line++
		for _, m := range inCode.FindAllStringSubmatch(l, -1) {
			file, name := m[1], m[2]
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s:%d: there is no file %s", document, line, file)
				continue
			}
			if name == "" {
				continue
			}
			if declared[file] == nil {
				declared[file] = names(t, file)
			}
			pairs++
			if !declared[file][name] {
				t.Errorf("%s:%d: %s declares no %s", document, line, file, name)
			}
		}
	}
	return pairs
}

// A document that names another file of the repository names one that is there.
func TestLinksInDocumentsLead(t *testing.T) {
	documents := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"}
	for _, dir := range []string{"docs", "docs/decisions"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".md") {
				documents = append(documents, dir+"/"+e.Name())
			}
		}
	}
	link := regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to, section := m[1], strings.TrimPrefix(m[2], "#")
			if strings.Contains(to, "://") {
				continue
			}
			file := document
			if to != "" {
				file = document[:strings.LastIndexByte(document, '/')+1] + to
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which is not there", document, to)
			} else if section != "" && !hasSection(t, file, section) {
				t.Errorf("%s links to the section %s of %s, which is not there", document, section, file)
			}
		}
	}
}

// hasSection reports whether a document has a heading to which GitHub gives this anchor.
func hasSection(t *testing.T, file, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		heading := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(heading, " ", "-") == anchor {
			return true
		}
	}
	return false
}
