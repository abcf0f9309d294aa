// Package settings reads the settings that a user makes for the command line once and for all: from
// the environment, and from a file.
//
// [Load] returns the [Settings] in force, typed. Of an option, a variable, the file and the default
// the first that is there counts; options are for the commands to look at. [Keys] lists the
// settings, so that the code, the messages and docs/cli.md have one table. Nothing is connected
// and no program is run.
//
//	# ~/.config/mitosis/config.yaml
//	user: deploy
//	inventory: [hosts.yaml, ~/lab/hosts]
//	connect_timeout: 20s
//
// The file has no sections for some hosts: ssh_config(5) and the inventory have them.
package settings

import (
	"log/slog"
	"time"
)

// Choice is one of few words.
type Choice string

// The choices of Colours and of Broker.
const (
	Auto   Choice = "auto"
	Always Choice = "always"
	Never  Choice = "never"
	Yes    Choice = "yes"
	No     Choice = "no"
)

// Settings are typed and checked. They do not change after Load.
type Settings struct {
	User           string        // at hosts that are given without one; "" sets none
	Identity       []string      // private keys
	SSHConfig      string        // in place of the user's and the system's; "" is these
	Inventory      []string      // sources for inventory.Load
	ConnectTimeout time.Duration // of one host; 0 sets none
	FanOut         int           // hosts at once; 0 sets none
	Cache          bool          // hosts keep the program for the next time
	PackedCache    string        // as contexts.Config.PackedDir
	Colours        Choice        // Auto, Always or Never
	Log            slog.Level    // the lowest that is shown
	Broker         Choice        // Yes, No or Auto: from a standing broker if there is one
	BrokerIdle     time.Duration // a broker ends after so long without a client

	// File is the name of the file that was read; "" if none was.
	File string

	from map[string]Source // by key; those that are not there have their default
}

// SourceKind says from where a value comes.
type SourceKind string

// The kinds of sources.
const (
	Default     SourceKind = "default"
	Environment SourceKind = "environment"
	File        SourceKind = "file"
)

// Source is the place of a value.
type Source struct {
	Kind     SourceKind
	Variable string // of the environment
	Line     int    // of the file
	Column   int
}

// Source returns from where the value of a key comes.
func (s *Settings) Source(key string) Source {
	if from, ok := s.from[key]; ok {
		return from
	}
	return Source{Kind: Default}
}
