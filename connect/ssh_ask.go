package connect

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

// sshPlaces are where this machine keeps what ssh reads.
type sshPlaces struct {
	user         string // our own name
	home         string // our home as the user database has it, which is what ssh goes by
	systemConfig string
	program      string // the ssh program: a path, or a name to look for, or "" for none
}

func defaultSSHPlaces() sshPlaces {
	p := sshPlaces{systemConfig: "/etc/ssh/ssh_config", program: "ssh"}
	if u, err := user.Current(); err == nil {
		p.user, p.home = u.Username, u.HomeDir
	}
	if p.home == "" {
		p.home, _ = os.UserHomeDir()
	}
	return p
}

// userConfig is "" where we have no home.
func (p *sshPlaces) userConfig() string { return p.inHome("config") }

func (p *sshPlaces) inHome(name string) string {
	if p.home == "" {
		return ""
	}
	return filepath.Join(p.home, ".ssh", name)
}

// sshAnswers keeps what `ssh -G` said, so that a thousand hosts of one group,
// or a thousand connections to one host, cost one process per name. The key
// holds a digest of the files that were read: an edit is seen at once.
var sshAnswers struct {
	mu  sync.Mutex
	all map[sshQuestion]*sshAnswer
}

type sshQuestion struct {
	program, file, user, host, home string
	port                            int
	digest                          uint64
}

type sshAnswer struct {
	ready  chan struct{} // closed when the rest is set
	values map[string][]string
	err    error
}

const (
	// maxSSHAnswers bounds the memory of a process that connects to
	// ever new hosts; the answers are about 1 KiB each.
	maxSSHAnswers = 4096
	// sshAnswerTimeout bounds `ssh -G`, which may run the commands of Match
	// lines and resolve names.
	sshAnswerTimeout = 20 * time.Second
)

// ask returns the settings for a host as `ssh -G` prints them.
func (q sshQuestion) ask(ctx context.Context) (map[string][]string, error) {
	for {
		sshAnswers.mu.Lock()
		answer, asked := sshAnswers.all[q]
		if !asked {
			if sshAnswers.all == nil || len(sshAnswers.all) >= maxSSHAnswers {
				sshAnswers.all = map[sshQuestion]*sshAnswer{}
			}
			answer = &sshAnswer{ready: make(chan struct{})}
			sshAnswers.all[q] = answer
		}
		sshAnswers.mu.Unlock()

		if !asked {
			answer.values, answer.err = q.run(ctx)
			if answer.err != nil {
				// Errors are not kept: the next one may be luckier, and our
				// own cancellation is nobody else's.
				sshAnswers.mu.Lock()
				if sshAnswers.all[q] == answer {
					delete(sshAnswers.all, q)
				}
				sshAnswers.mu.Unlock()
			}
			close(answer.ready)
			return answer.values, answer.err
		}
		select {
		case <-answer.ready:
			if errors.Is(answer.err, context.Canceled) || errors.Is(answer.err, context.DeadlineExceeded) {
				continue // whoever asked gave up; that is no answer for us
			}
			return answer.values, answer.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q sshQuestion) run(ctx context.Context) (map[string][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, sshAnswerTimeout)
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
	return parseAnswer(out.String()), nil
}

// parseAnswer reads the lines "keyword value". IdentityFile, SendEnv and their like
// come more than once.
func parseAnswer(text string) map[string][]string {
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

// splitPaths takes apart a list of files that ssh printed with blanks between
// them and without quotes: a word that can't begin a path belongs
// to the one before it.
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
