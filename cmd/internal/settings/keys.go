package settings

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Key is one setting, as the file and the documentation call it.
type Key struct {
	Name    string
	Option  string // which counts more; "" if there is none
	Values  string // how a value is written
	Default string // for people
	About   string

	list  bool
	read  func(s *Settings, words []string, at place) error
	value func(s *Settings) any
}

// Variable returns the name of the variable of the environment.
func (k *Key) Variable() string { return "MITOSIS_" + strings.ToUpper(k.Name) }

// Value returns the value of the key for JSON: a text, a number, a truth value or a list of texts,
// or nil where nothing is set and there is no default.
func (k *Key) Value(s *Settings) any {
	switch v := k.value(s); {
	case v == "" || v == 0:
		return nil
	case k.list && len(v.([]string)) == 0 && s.Source(k.Name).Kind == Default:
		return nil
	default:
		return v
	}
}

// Keys returns all settings, in the order of the documentation.
func Keys() []Key {
	return []Key{
		{
			Name: "user", Option: "-l", Values: "NAME", Default: "as ssh_config says, or else the name here",
			About: "the user at hosts that are given without one; as with ssh -l, User in ssh_config counts less",
			read:  text(func(s *Settings) *string { return &s.User }),
			value: func(s *Settings) any { return s.User },
		}, {
			Name: "identity", Option: "-i", Values: "FILES", Default: "as ssh_config says", list: true,
			About: "private keys, which are tried first",
			read:  readIdentity,
			value: func(s *Settings) any { return list(s.Identity) },
		}, {
			Name: "ssh_config", Option: "-F", Values: "FILE", Default: "the user's and the system's",
			About: "the configuration of ssh; none reads none",
			read:  name(func(s *Settings) *string { return &s.SSHConfig }, "none"),
			value: func(s *Settings) any { return s.SSHConfig },
		}, {
			Name: "inventory", Option: "--inventory", Values: "FILES", Default: "inventory.yaml beside config.yaml, if it is there", list: true,
			About: "the sources of groups and variables of hosts",
			read:  readInventory,
			value: func(s *Settings) any { return list(s.Inventory) },
		}, {
			Name: "connect_timeout", Option: "--connect-timeout", Values: "TIME", Default: "none for one host, 2m for several",
			About: "how long connecting a host may take, such as 20s",
			read:  duration(func(s *Settings) *time.Duration { return &s.ConnectTimeout }),
			value: func(s *Settings) any { return timeText(s.ConnectTimeout) },
		}, {
			Name: "fan_out", Option: "--fanout", Values: "N", Default: "32 for each processor, at most 256",
			About: "how many hosts at once",
			read:  readFanOut,
			value: func(s *Settings) any { return s.FanOut },
		}, {
			Name: "cache", Values: "yes|no", Default: "no",
			About: "whether hosts keep the program in a cache of the user, so that it is not sent the next time",
			read:  readCache,
			value: func(s *Settings) any { return s.Cache },
		}, {
			Name: "packed_cache", Values: "DIR", Default: "mitosis/packed in the user's cache directory",
			About: "where this host keeps packed programs; none keeps none",
			read: func(s *Settings, words []string, at place) error {
				if err := name(func(s *Settings) *string { return &s.PackedCache }, "none")(s, words, at); err != nil {
					return err
				}
				if s.PackedCache == "none" {
					s.PackedCache = os.DevNull
				}
				return nil
			},
			value: func(s *Settings) any { return s.PackedCache },
		}, {
			Name: "colours", Values: "auto|always|never", Default: "auto",
			About: "whether names of hosts are coloured; auto is at a terminal, unless NO_COLOR is set or TERM is dumb",
			read:  choice(func(s *Settings) *Choice { return &s.Colours }, Auto, Always, Never),
			value: func(s *Settings) any { return s.Colours },
		}, {
			Name: "log", Option: "-v, -vv", Values: "debug|info|warn|error", Default: "warn",
			About: "the lowest level that is logged to standard error; info has the output of tools, debug how a copy starts",
			read:  readLog,
			value: func(s *Settings) any { return strings.ToLower(s.Log.String()) },
		}, {
			Name: "broker", Option: "--broker", Values: "yes|no|auto", Default: "auto",
			About: "whether commands for one host go through a broker, which keeps connections for the next command; auto: if one is running",
			read:  choice(func(s *Settings) *Choice { return &s.Broker }, Yes, No, Auto),
			value: func(s *Settings) any { return s.Broker },
		}, {
			Name: "broker_idle", Option: "--idle-timeout", Values: "TIME", Default: "10m",
			About: "a broker ends after so long without use",
			read:  duration(func(s *Settings) *time.Duration { return &s.BrokerIdle }),
			value: func(s *Settings) any { return timeText(s.BrokerIdle) },
		},
	}
}

// Defaults returns the settings where nothing is set.
func Defaults() *Settings {
	return &Settings{Colours: Auto, Log: slog.LevelWarn, Broker: Auto, BrokerIdle: 10 * time.Minute, from: make(map[string]Source)}
}

// list makes JSON have [] and not null.
func list(of []string) []string { return append([]string{}, of...) }

func timeText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func text(field func(*Settings) *string) func(*Settings, []string, place) error {
	return func(s *Settings, words []string, _ place) error {
		*field(s) = words[0]
		return nil
	}
}

// name is text for the name of a file, except for the given word.
func name(field func(*Settings) *string, word string) func(*Settings, []string, place) error {
	return func(s *Settings, words []string, at place) (err error) {
		if *field(s) = words[0]; words[0] != word {
			*field(s), err = at.fileName(words[0])
		}
		return err
	}
}

// readIdentity leaves the home directory to the host where a hop begins, as ssh does.
func readIdentity(s *Settings, words []string, at place) error {
	s.Identity = nil
	for _, word := range words {
		file, err := at.fileName(word)
		if err != nil {
			return err
		}
		if strings.HasPrefix(word, "~/") {
			file = word
		}
		s.Identity = append(s.Identity, file)
	}
	return nil
}

// readInventory leaves host sets as they are: a text with a comma that names no file.
func readInventory(s *Settings, words []string, at place) error {
	all := []string{}
	for _, word := range words {
		if word == "-" && at.dir != "" {
			return fmt.Errorf("%q, standard input, can't be the inventory of all commands", word)
		}
		source, err := at.fileName(word)
		if err != nil {
			return err
		}
		if _, err := os.Stat(source); err != nil && strings.Contains(word, ",") || word == "-" {
			source = word
		}
		all = append(all, source)
	}
	s.Inventory = all
	return nil
}

func duration(field func(*Settings) *time.Duration) func(*Settings, []string, place) error {
	return func(s *Settings, words []string, _ place) error {
		d, err := time.ParseDuration(words[0])
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is no time above 0 with a unit, such as 20s or 10m", words[0])
		}
		*field(s) = d
		return nil
	}
}

func readFanOut(s *Settings, words []string, _ place) error {
	n, err := strconv.ParseInt(words[0], 10, 31)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no number from 1 on", words[0])
	}
	s.FanOut = int(n)
	return nil
}

func readLog(s *Settings, words []string, _ place) error {
	if err := s.Log.UnmarshalText([]byte(words[0])); err != nil {
		return noneOf(words[0], "debug", "info", "warn", "error")
	}
	return nil
}

func readCache(s *Settings, words []string, _ place) error {
	var c Choice
	err := choice(func(*Settings) *Choice { return &c }, Yes, No)(s, words, place{})
	s.Cache = c == Yes
	return err
}

// truths are the words that YAML has for yes and no. A choice without these two takes neither.
var truths = map[string]Choice{"yes": Yes, "true": Yes, "on": Yes, "1": Yes, "no": No, "false": No, "off": No, "0": No}

func choice(field func(*Settings) *Choice, of ...Choice) func(*Settings, []string, place) error {
	return func(s *Settings, words []string, _ place) error {
		c := Choice(strings.ToLower(words[0]))
		if truth, ok := truths[string(c)]; ok {
			c = truth
		}
		if !slices.Contains(of, c) {
			var known []string
			for _, one := range of {
				known = append(known, string(one))
			}
			return noneOf(words[0], known...)
		}
		*field(s) = c
		return nil
	}
}

func noneOf(word string, known ...string) error {
	return fmt.Errorf("%q is none of %s%s", word, strings.Join(known, ", "), meant(word, known))
}
