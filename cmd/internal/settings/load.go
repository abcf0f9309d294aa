package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FileVariable names the file in place of the user's; none reads none.
const FileVariable = "MITOSIS_CONFIG"

// Dir returns the directory of the user's settings: $XDG_CONFIG_HOME/mitosis, else
// ~/.config/mitosis, or what else a system has for it.
func Dir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil && os.Getenv("XDG_CONFIG_HOME") != "" { // no absolute path: then it does not count
		home, homeErr := os.UserHomeDir()
		dir, err = filepath.Join(home, ".config"), homeErr
	}
	return filepath.Join(dir, "mitosis"), err
}

// Load reads the environment and the file. The error has a line for each fault; the settings are
// those without faults then. A variable that is empty counts as one that is not set.
func Load() (*Settings, error) {
	s := Defaults()
	fileErr := s.loadFile()
	var errs []error
	for _, k := range Keys() {
		text := os.Getenv(k.Variable())
		if text == "" {
			continue
		}
		words := []string{text}
		if k.list {
			words = filepath.SplitList(text)
		}
		if err := s.set(&k, words, place{}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", k.Variable(), err))
			continue
		}
		s.from[k.Name] = Source{Kind: Environment, Variable: k.Variable()}
	}
	if dir, err := Dir(); err == nil && s.Inventory == nil {
		if file := filepath.Join(dir, "inventory.yaml"); exists(file) {
			s.Inventory = []string{file}
		}
	}
	return s, errors.Join(append(errs, fileErr)...)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// set gives a key the value that words say. A fault leaves it as it was.
func (s *Settings) set(k *Key, words []string, at place) error {
	for _, word := range words {
		if word == "" {
			return errors.New("it has no value")
		}
		if strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%q has control characters", word)
		}
	}
	before := *s
	err := k.read(s, words, at)
	if err != nil {
		*s = before
	}
	return err
}

// place is where a value is written.
type place struct {
	dir string // of the file; "" is the environment
}

// fileName returns a name that counts from the home directory, or from the directory of the file.
func (p place) fileName(name string) (string, error) {
	rest, home := strings.CutPrefix(name, "~")
	switch {
	case home && (rest == "" || rest[0] == '/'):
		dir, err := os.UserHomeDir()
		return filepath.Join(dir, rest), err
	case home:
		return "", fmt.Errorf("%q: the home directory of another user has to be written out", name)
	case p.dir != "" && !filepath.IsAbs(name):
		return filepath.Join(p.dir, name), nil
	}
	return name, nil
}
