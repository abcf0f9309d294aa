package sshconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Places are the files and names from which the configuration of ssh starts.
type Places struct {
	User         string // the local user
	Home         string // the user's home in the user database, which ssh takes, too
	SystemConfig string
	Program      string // the ssh program: a path, or a name to look for, or "" for none
}

// DefaultPlaces returns those of the user who runs this process.
func DefaultPlaces() Places {
	p := Places{SystemConfig: "/etc/ssh/ssh_config", Program: "ssh"}
	if u, err := user.Current(); err == nil {
		p.User, p.Home = u.Username, u.HomeDir
	}
	if p.Home == "" {
		p.Home, _ = os.UserHomeDir()
	}
	return p
}

// userConfig returns the user's configuration file, "" if the user has no home.
func (p *Places) userConfig() string { return p.InHome("config") }

// InHome returns the path of a file in ~/.ssh, "" if the user has no home.
func (p *Places) InHome(name string) string {
	if p.Home == "" {
		return ""
	}
	return filepath.Join(p.Home, ".ssh", name)
}

// answers keeps the output of `ssh -G`, so that a thousand connections to one host cost one
// process. The key has a digest of the files that were read: an edit counts at once.
var answers struct {
	mu  sync.Mutex
	all map[question]*reply
}

type question struct {
	program, file, user, host, home string
	options                         string // each on its line
	port                            int
	digest                          uint64
}

type reply struct {
	ready  chan struct{} // closed when the rest is set
	values map[string][]string
	err    error
}

const (
	// maxAnswers bounds the memory of a process that connects to
	// ever new hosts; the answers are about 1 KiB each.
	maxAnswers = 4096
	// answerTimeout bounds `ssh -G`, which may run the commands of Match
	// lines and resolve names.
	answerTimeout = 20 * time.Second
)

// ask returns the settings for a host as `ssh -G` prints them.
func (q question) ask(ctx context.Context) (map[string][]string, error) {
	for {
		answers.mu.Lock()
		answer, asked := answers.all[q]
		if !asked {
			if answers.all == nil || len(answers.all) >= maxAnswers {
				answers.all = map[question]*reply{}
			}
			answer = &reply{ready: make(chan struct{})}
			answers.all[q] = answer
		}
		answers.mu.Unlock()

		if !asked {
			answer.values, answer.err = q.exec(ctx)
			if answer.err != nil {
				// Errors are not kept: they may pass, and a cancellation is
				// that of one caller.
				answers.mu.Lock()
				if answers.all[q] == answer {
					delete(answers.all, q)
				}
				answers.mu.Unlock()
			}
			close(answer.ready)
			return answer.values, answer.err
		}
		select {
		case <-answer.ready:
			if errors.Is(answer.err, context.Canceled) || errors.Is(answer.err, context.DeadlineExceeded) {
				continue // the caller who asked gave up: ask again
			}
			return answer.values, answer.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q question) exec(ctx context.Context) (map[string][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	args := []string{"-G"}
	if q.file != "" {
		args = append(args, "-F", q.file)
	}
	if q.user != "" {
		args = append(args, "-l", q.user)
	}
	if q.port != 0 {
		args = append(args, "-p", strconv.Itoa(q.port))
	}
	for option := range strings.SplitSeq(q.options, "\n") {
		if option != "" {
			args = append(args, "-o", option)
		}
	}
	// The host has been checked not to begin with a dash; the "--" makes sure.
	cmd := exec.CommandContext(ctx, q.program, append(args, "--", q.host)...)
	cmd.WaitDelay = time.Second // a Match command may hold the pipe open
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var exit *exec.ExitError
		if text := strings.TrimSpace(errs.String()); errors.As(err, &exit) && text != "" {
			return nil, fmt.Errorf("%s -G: %s", q.program, text)
		}
		return nil, fmt.Errorf("%s -G: %w", q.program, err)
	}
	return ParseAnswer(out.String()), nil
}

// ParseAnswer reads the lines "keyword value". IdentityFile, SendEnv and their like
// come more than once.
func ParseAnswer(text string) map[string][]string {
	values := map[string][]string{}
	for line := range strings.Lines(text) {
		keyword, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if !ok {
			continue
		}
		keyword = strings.ToLower(keyword)
		switch keyword {
		case "userknownhostsfile", "globalknownhostsfile", "revokedhostkeys":
			values[keyword] = splitPaths(value)
		default:
			values[keyword] = append(values[keyword], value)
		}
	}
	return values
}

// splitPaths splits a list of files that ssh prints with blanks in between and without quotes.
// A word that can't begin a path belongs to the one before it.
func splitPaths(list string) []string {
	var paths []string
	for word := range strings.SplitSeq(list, " ") {
		begins := word == "none" || strings.HasPrefix(word, "/") || strings.HasPrefix(word, "~") ||
			strings.HasPrefix(word, "%") || strings.HasPrefix(word, "$")
		if len(paths) == 0 || begins {
			paths = append(paths, word)
		} else {
			paths[len(paths)-1] += " " + word
		}
	}
	return paths
}
