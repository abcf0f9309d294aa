package connect

import "fmt"

// SSHSettings are the settings that a person gives to all hops by ssh at once, as the options
// of ssh(1) say them. The zero value sets nothing.
//
// They win over the configuration, and hops that set a value themselves win over them. They
// hold for the hop itself and not for its jump hosts, as with ssh, except for ConfigFile and
// HostKeys. A hop goes by the files of the host where it starts: an identity file of the
// second hop of a path is one of the first host.
type SSHSettings struct {
	User          string   // -l
	Port          int      // -p
	IdentityFiles []string // -i; those of the configuration are tried as well
	ConfigFile    string   // -F: in place of the user's and the system's; "none" reads none
	// Options are those of -o: "Keyword=value" or "Keyword value" of ssh_config(5). Of a
	// keyword that comes more than once the first value counts. docs/ssh_config.md says
	// which keywords a hop of package ssh takes.
	Options []string
	// HostKeys is the policy of hops that have none of their own.
	HostKeys HostKeyPolicy
}

// An SSHMethod is a hop that SSHSettings are for.
type SSHMethod interface {
	Method

	// WithSSHSettings returns the same hop with those settings that it does not have
	// itself. The error names an option that it refuses.
	WithSSHSettings(SSHSettings) (Method, error)
}

// Apply returns the hops of a path with the settings in each that goes by ssh. The error
// matches [ErrStart] if a hop refuses an option, and [ErrBadName] for a bad user or port.
func (s SSHSettings) Apply(hops []Method) ([]Method, error) {
	set := make([]Method, len(hops))
	for i, hop := range hops {
		set[i] = hop
		if m, ok := hop.(SSHMethod); ok {
			var err error
			if set[i], err = m.WithSSHSettings(s); err != nil {
				return nil, fmt.Errorf("hop %q: %w", hop.Label(), err)
			}
		}
	}
	return set, nil
}
