package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// Load reads an inventory from one or several sources, which are put together: a host of
// several has the variables of all, of which the later ones count. A source is
//
//   - a file: YAML or JSON, of our form or Ansible's, where its name or its beginning says so,
//     an ssh_config where its name is "config" or "ssh_config", and else Ansible's INI, of which
//     a list of names, one on a line, is the simplest form;
//   - a file that may be executed: it prints Ansible's JSON when it is called with --list, and
//     ends with ctx;
//   - a directory: all files in it, in the order of their names, as Ansible reads it;
//   - "-": standard input;
//   - a text with a comma: a host set, such as "web[1-3],".
//
// Beside a file, and in a directory, group_vars and host_vars are read as Ansible does.
func Load(ctx context.Context, sources ...string) (*Inventory, error) {
	i := newInventory()
	for _, source := range sources {
		if err := i.load(ctx, source); err != nil {
			return nil, fmt.Errorf("inventory %s: %w", source, err)
		}
	}
	for _, source := range sources {
		if err := i.loadVars(source); err != nil {
			return nil, fmt.Errorf("inventory %s: %w", source, err)
		}
	}
	if err := i.finish(); err != nil {
		return nil, err
	}
	return i, nil
}

// Parse reads an inventory from a text: one of the forms of a file.
func Parse(text []byte) (*Inventory, error) {
	i := newInventory()
	if err := i.read("", text); err != nil {
		return nil, err
	}
	if err := i.finish(); err != nil {
		return nil, err
	}
	return i, nil
}

// mostBytes bounds what one source says.
const mostBytes = 64 << 20

func (i *Inventory) load(ctx context.Context, source string) error {
	if source == "-" {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, mostBytes))
		if err != nil {
			return err
		}
		return i.read("", text)
	}
	info, err := os.Stat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.Contains(source, ","):
		hosts, err := fleet.ParseHosts(strings.Trim(source, ", "))
		if err != nil {
			return err
		}
		i.addTo(all, hosts.Names()...)
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return i.loadDir(ctx, source)
	case info.Mode()&0o111 != 0 && info.Mode().IsRegular():
		return i.execute(ctx, source)
	}
	text, err := readFile(source)
	if err != nil {
		return err
	}
	return i.read(filepath.Base(source), text)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostBytes+1))
	if err == nil && len(text) > mostBytes {
		err = fmt.Errorf("%w: it is larger than %d bytes", ErrInvalid, mostBytes)
	}
	return text, err
}

// read finds out which form a text has.
func (i *Inventory) read(name string, text []byte) error {
	switch {
	case name == "config" || name == "ssh_config":
		return i.readSSHConfig(text)
	case slices.Contains([]string{".yml", ".yaml", ".json"}, filepath.Ext(name)) || startsTree(text):
		return i.readTree(text)
	}
	return i.readINI(text)
}

// startsTree reports whether a text begins as YAML or JSON does: with a brace, three dashes,
// or a name and a colon with nothing else on the line.
func startsTree(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, " \t\r\n")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		return line[0] == '{' || bytes.HasPrefix(line, []byte("---")) ||
			line[0] != '[' && bytes.HasSuffix(line, []byte(":")) && !bytes.ContainsAny(line, "= ")
	}
	return false
}

// ignored are the endings of files in a directory that are no inventories.
var ignored = []string{"~", ".orig", ".bak", ".ini.swp", ".cfg", ".retry", ".pyc", ".pyo", ".md", ".rst", ".txt"}

func (i *Inventory) loadDir(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name == "group_vars" || name == "host_vars" || strings.HasPrefix(name, ".") ||
			slices.ContainsFunc(ignored, func(end string) bool { return strings.HasSuffix(name, end) }) {
			continue
		}
		if err := i.load(ctx, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// execute asks a program for the inventory.
func (i *Inventory) execute(ctx context.Context, program string) error {
	abs, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, abs, "--list")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s --list: %w: %s", program, err, lastLine(stderr.String()))
	}
	if err := i.readTree(out); err != nil {
		return fmt.Errorf("%s --list: %w", program, err)
	}
	if bytes.Contains(out, []byte(`"_meta"`)) {
		return nil
	}
	// An old one, which is asked for the variables of each host.
	for _, name := range slices.Clone(i.order) {
		out, err := exec.CommandContext(ctx, abs, "--host", name).Output()
		if err != nil {
			return fmt.Errorf("%s --host %s: %w", program, name, err)
		}
		vars, err := readVars(out)
		if err != nil {
			return fmt.Errorf("%s --host %s: %w", program, name, err)
		}
		set(&i.hosts[name].vars, vars)
	}
	return nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// loadVars reads group_vars and host_vars, which are in a directory, or beside a file.
func (i *Inventory) loadVars(source string) error {
	info, err := os.Stat(source)
	if err != nil {
		return nil // standard input, or a host set
	}
	dir := source
	if !info.IsDir() {
		dir = filepath.Dir(source)
	}
	for _, name := range i.Groups() {
		vars, err := varsOf(filepath.Join(dir, "group_vars"), name)
		if err != nil {
			return err
		}
		set(&i.groups[name].vars, vars)
	}
	if _, err := os.Stat(filepath.Join(dir, "host_vars")); err != nil {
		return nil
	}
	for name, h := range i.hosts {
		vars, err := varsOf(filepath.Join(dir, "host_vars"), name)
		if err != nil {
			return err
		}
		set(&h.vars, vars)
	}
	return nil
}

// varsOf reads the variables of a group or a host: from a file of its name, without or with an
// ending, or from all files in a directory of its name.
func varsOf(dir, name string) (map[string]any, error) {
	if strings.ContainsAny(name, "/\\") || name == "." || name == ".." {
		return nil, nil // no file has such a name
	}
	all := make(map[string]any)
	for _, end := range []string{"", ".yml", ".yaml", ".json"} {
		place := filepath.Join(dir, name+end)
		info, err := os.Stat(place)
		if err != nil {
			continue
		}
		files := []string{place}
		if info.IsDir() {
			entries, err := os.ReadDir(place)
			if err != nil {
				return nil, err
			}
			files = nil
			for _, e := range entries {
				if !e.IsDir() && slices.Contains([]string{"", ".yml", ".yaml", ".json"}, filepath.Ext(e.Name())) {
					files = append(files, filepath.Join(place, e.Name()))
				}
			}
		}
		for _, file := range files {
			text, err := readFile(file)
			if err != nil {
				return nil, err
			}
			vars, err := readVars(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			set(&all, vars)
		}
	}
	return all, nil
}
