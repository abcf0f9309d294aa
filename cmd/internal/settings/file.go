package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mostBytes bounds the file, which a person writes.
const mostBytes = 1 << 20

// FileName returns the name of the file that would be read; "" for none. usual says that it need
// not be there.
func FileName() (name string, usual bool, err error) {
	switch name = os.Getenv(FileVariable); name {
	case "none", os.DevNull:
		return "", false, nil
	case "":
		dir, err := Dir()
		if err != nil {
			return "", false, nil // a process without a home has no settings of a user
		}
		return filepath.Join(dir, "config.yaml"), true, nil
	}
	name, err = filepath.Abs(name)
	return name, false, err
}

// loadFile reads the file, if there is one.
func (s *Settings) loadFile() error {
	name, usual, err := FileName()
	if name == "" || err != nil {
		return err
	}
	if _, err := os.Lstat(name); usual && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	text, err := readFile(name)
	if err != nil {
		return err
	}
	s.File = name
	return s.parse(name, text)
}

// readFile reads a file that only its user can have written.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	if !info.Mode().IsRegular() { // a pipe would not end
		return nil, fmt.Errorf("the configuration %s is no regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := onlyOurs(name, info); err != nil {
		return nil, fmt.Errorf("the configuration %s is not read: %w", name, err)
	}
	// Who may write to the directory may put another file in its place.
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{filepath.Dir(name), filepath.Dir(real)} {
		info, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		if err := onlyOurs(dir, info); err != nil && info.Mode()&fs.ModeSticky == 0 {
			return nil, fmt.Errorf("the configuration %s is not read: %w", name, err)
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, mostBytes+1))
	if err == nil && len(text) > mostBytes {
		err = fmt.Errorf("the configuration %s has more than %d bytes", name, mostBytes)
	}
	return text, err
}

// fault is an error at a place of the file.
func fault(file string, line, column int, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: "+format, append([]any{file, line, column}, args...)...)
}

// parse reads the text of the file.
func (s *Settings) parse(file string, text []byte) error {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return err
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return nil // it has comments only
	} else if err != nil {
		return syntax(file, text, err)
	}
	if err := loader.Load(&second); err == nil {
		return fault(file, second.Line, max(second.Column, 1), "a second document begins, where the file has one")
	} else if !errors.Is(err, io.EOF) {
		return syntax(file, text, err)
	}
	root := &doc
	if doc.Kind == yaml.DocumentNode {
		if len(doc.Content) == 0 {
			return nil
		}
		root = doc.Content[0]
	}
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return fault(file, root.Line, root.Column, "the file is a list of lines KEY: VALUE, and here it is none")
	}
	return s.parseKeys(file, root)
}

// syntax returns an error of the library as one of ours.
func syntax(file string, text []byte, err error) error {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return fmt.Errorf("%s: %w", file, err)
	}
	line, column := e.Mark.Line, e.Mark.Column
	if line < 1 { // a byte that YAML does not have
		at := len(text)
		for i, r := range string(text) {
			if r == '\uFFFD' || r < ' ' && !strings.ContainsRune("\t\n\r", r) || r == 0x7f {
				at = i
				break
			}
		}
		line = 1 + bytes.Count(text[:at], []byte("\n"))
		column = at - bytes.LastIndexByte(text[:at], '\n')
	}
	return fault(file, line, column, "%s", e.Message)
}

// parseKeys reads the lines of the file, and goes on behind faults.
func (s *Settings) parseKeys(file string, root *yaml.Node) error {
	keys := Keys()
	known := make([]string, len(keys))
	byName := make(map[string]*Key, len(keys))
	for i := range keys {
		known[i], byName[keys[i].Name] = keys[i].Name, &keys[i]
	}
	seen := make(map[string]int)
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		name, value := root.Content[i], root.Content[i+1]
		key := byName[name.Value]
		if name.Kind != yaml.ScalarNode || key == nil {
			errs = append(errs, fault(file, name.Line, name.Column, "there is no key %q%s", name.Value, meant(name.Value, known)))
			continue
		}
		if before := seen[key.Name]; before > 0 {
			errs = append(errs, fault(file, name.Line, name.Column, "%s is there twice; the first is on line %d", key.Name, before))
			continue
		}
		seen[key.Name] = name.Line
		words, at, err := wordsOf(key, value)
		if err == nil {
			err = s.set(key, words, place{filepath.Dir(file)})
		}
		if err != nil {
			errs = append(errs, fault(file, at.Line, at.Column, "%s: %w", key.Name, err))
			continue
		}
		s.from[key.Name] = Source{Kind: File, Line: name.Line, Column: name.Column}
	}
	return errors.Join(errs...)
}

// wordsOf returns the words of a value as they are written, and the place to name in errors.
func wordsOf(k *Key, value *yaml.Node) (words []string, at *yaml.Node, err error) {
	of := resolve(value)
	if of.Kind == yaml.ScalarNode {
		if of.Tag == "!!null" {
			return nil, value, errors.New("it has no value")
		}
		return []string{of.Value}, value, nil
	}
	if !k.list || of.Kind != yaml.SequenceNode {
		return nil, value, fmt.Errorf("it is one value: %s", k.Values)
	}
	for _, item := range of.Content {
		if text := resolve(item); text.Kind == yaml.ScalarNode && text.Tag != "!!null" {
			words = append(words, text.Value)
		} else {
			return nil, item, errors.New("it is a list of names, and this is none")
		}
	}
	return words, value, nil
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
