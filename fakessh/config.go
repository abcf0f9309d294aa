package fakessh

import (
	"cmp"
	"fmt"
	"strings"
)

// config returns the output of -G: the settings of the command line, as ssh -G prints them.
func (l *CommandLine) config(me, controlPath string) string {
	var b strings.Builder
	say := func(key string, value any) { fmt.Fprintf(&b, "%s %v\n", key, value) }
	yes := func(v bool) string {
		if v {
			return "yes"
		}
		return "no"
	}
	say("host", l.Host)
	say("user", cmp.Or(l.User, me))
	say("hostname", strings.ToLower(l.Host))
	say("port", cmp.Or(l.Port, 22))
	say("clearallforwardings", yes(l.clear))
	say("exitonforwardfailure", yes(l.ExitOnForwardFailure))
	say("forwardagent", cmp.Or(l.ForwardAgent, "no"))
	say("gatewayports", yes(l.GatewayPorts))
	say("addressfamily", l.Family)
	say("streamlocalbindmask", fmt.Sprintf("0%o", l.bindMaskOrDefault()))
	say("streamlocalbindunlink", yes(l.BindUnlink))
	say("controlmaster", l.Master)
	switch {
	case !l.Persist:
		say("controlpersist", "no")
	case l.PersistTime == 0:
		say("controlpersist", "yes")
	default:
		say("controlpersist", int(l.PersistTime.Seconds()))
	}
	if controlPath != "" {
		say("controlpath", controlPath)
	}
	say("requesttty", l.TTY)
	say("sessiontype", l.Session)
	say("stdinnull", yes(l.StdinNull))
	say("forkafterauthentication", yes(l.Fork))
	say("loglevel", l.Level)
	for _, f := range l.Dynamic {
		say("dynamicforward", f)
	}
	for _, f := range l.Local {
		say("localforward", f)
	}
	for _, f := range l.Remote {
		if f.Dynamic() {
			say("remoteforward", f.String()+" [socks]:0")
			continue
		}
		say("remoteforward", f)
	}
	for _, p := range l.SendEnv {
		say("sendenv", p)
	}
	for _, e := range l.Env {
		say("setenv", e)
	}
	if l.remoteCommand != "" {
		say("remotecommand", l.remoteCommand)
	}
	return b.String()
}
