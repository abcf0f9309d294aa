package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts/fleet/journal"
)

// A record of a run has two files in the directory of the user's state: NAME.json, what was
// asked for, and NAME.jsonl, the journal of the hosts. A run without failures leaves none.
type record struct {
	name    string
	journal *journal.Journal
}

// asked is what a run was asked for.
type asked struct {
	Command string    `json:"command"` // run, put or get
	Args    []string  `json:"args"`    // behind it
	Dir     string    `json:"dir"`     // in which it ran
	What    string    `json:"what"`    // the name of the operation in the journal
	Hosts   []string  `json:"hosts"`
	Time    time.Time `json:"time"`
}

// keptFor is how long records are kept. Nobody retries a run that is older.
const keptFor = 30 * 24 * time.Hour

// stateDir returns where the program keeps its state: $XDG_STATE_HOME/mitosis, or what a system has
// for it.
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mitosis"), nil
	}
	if runtime.GOOS == "windows" {
		dir, err := os.UserCacheDir() // %LocalAppData%
		return filepath.Join(dir, "mitosis"), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "mitosis"), err
}

// runsDir returns where the records of runs are.
func runsDir() (string, error) {
	dir, err := stateDir()
	return filepath.Join(dir, "runs"), err
}

// openRecord makes the record of a run, or goes on with the one that is retried.
func (s *several) openRecord() error {
	if s.options.asked == nil {
		return nil // nothing to try again
	}
	dir, err := runsDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	removeOld(dir)
	name := s.options.retryFailed
	if name == "" {
		name = time.Now().Format("20060102-150405-") + strings.ToLower(rand.Text()[:4])
		a := *s.options.asked
		a.What, a.Hosts, a.Time = s.what, s.hosts.set.Names(), time.Now().UTC()
		if a.Dir, err = os.Getwd(); err != nil {
			return err
		}
		text, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600); err != nil {
			return err
		}
	}
	j, err := journal.Open(filepath.Join(dir, name+".jsonl"))
	if err != nil {
		return err
	}
	if s.options.unknownToo {
		for host := range j.Unknown(s.what).All() {
			if err := j.Forget(s.what, host); err != nil {
				return errors.Join(err, j.Close())
			}
		}
	}
	s.record = &record{name, j}
	return nil
}

// closeRecord returns the name of the record where it was kept, since something failed.
func (s *several) closeRecord(failed bool) (name string, err error) {
	if s.record == nil {
		return "", nil
	}
	err = s.record.journal.Close()
	if failed {
		return s.record.name, err
	}
	dir, dirErr := runsDir()
	if dirErr != nil {
		return "", dirErr
	}
	return "", errors.Join(err, os.Remove(filepath.Join(dir, s.record.name+".json")), os.Remove(filepath.Join(dir, s.record.name+".jsonl")))
}

// removeOld removes the records that are kept no longer.
func removeOld(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && runName().MatchString(strings.TrimSuffix(strings.TrimSuffix(e.Name(), "l"), ".json")) && time.Since(info.ModTime()) > keptFor {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// runName matches the name of a run. Few commands need it, and all would make it at their start.
var runName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[a-z0-9]{4}$`) })

// readRecord returns what a run was asked for.
func readRecord(command, name string) (*asked, error) {
	if !runName().MatchString(name) {
		return nil, fmt.Errorf("%q is not the name of a run, as 20260131-120000-abcd is", name)
	}
	dir, err := runsDir()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no run %s, or nothing is left of it to be tried again", name)
	}
	if err != nil {
		return nil, err
	}
	a := new(asked)
	if err := json.Unmarshal(text, a); err != nil {
		return nil, fmt.Errorf("the record of %s: %w", name, err)
	}
	if a.Command != command {
		return nil, fmt.Errorf("%s is a run of %q and not of %q", name, a.Command, command)
	}
	if wd, err := os.Getwd(); command != "run" && (err != nil || wd != a.Dir) {
		return nil, fmt.Errorf("%s has names of files that count from the directory %s: go there first", name, a.Dir)
	}
	return a, nil
}
