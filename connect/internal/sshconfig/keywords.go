package sshconfig

import (
	"slices"
	"strings"
)

// A keywordUse says how the native client deals with a keyword of ssh_config(5).
type keywordUse uint8

const (
	// useAsked: honoured; the ssh program is asked for its value.
	useAsked keywordUse = iota + 1
	// usePlain: honoured; the reader evaluates it as well as ssh. The distributions set
	// some of these for every host, which must not cost a process for each connection.
	usePlain
	// useNone: without meaning for a hop.
	useNone
	// useHint: not honoured. An error or a warning in the log says so, with a remedy.
	useHint
	// useOld: ignored by OpenSSH as well.
	useOld
)

// keywords are the keywords of OpenSSH 9.2 to 10, in lower case. docs/ssh_config.md
// shows the same table to people, and a test compares the two.
var keywords = keywordTable(map[keywordUse]string{
	useAsked: `host match include hostname user port identityfile certificatefile identitiesonly identityagent
		userknownhostsfile globalknownhostsfile hostkeyalias stricthostkeychecking revokedhostkeys knownhostscommand
		checkhostip nohostauthenticationforlocalhost proxyjump proxycommand connecttimeout connectionattempts
		serveraliveinterval serveralivecountmax addressfamily bindaddress forwardagent setenv
		canonicalizehostname canonicaldomains canonicalizefallbacklocal canonicalizemaxdots canonicalizepermittedcnames
		ignoreunknown tag refuseconnection`,
	usePlain: `hashknownhosts kexalgorithms ciphers macs hostkeyalgorithms casignaturealgorithms pubkeyacceptedalgorithms
		requiredrsasize preferredauthentications pubkeyauthentication passwordauthentication kbdinteractiveauthentication
		batchmode numberofpasswordprompts rekeylimit sendenv`,
	useHint: `gssapiauthentication hostbasedauthentication pkcs11provider verifyhostkeydns permitlocalcommand localcommand
		localforward remoteforward dynamicforward tunnel forwardx11 proxyusefdpass bindinterface`,
	useNone: `addkeystoagent channeltimeout clearallforwardings compression controlmaster controlpath controlpersist
		enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fingerprinthash forkafterauthentication
		forwardx11timeout forwardx11trusted gatewayports gssapiclientidentity gssapidelegatecredentials gssapikexalgorithms
		gssapikeyexchange gssapirenewalforcesrekey gssapiserveridentity gssapitrustdns hostbasedacceptedalgorithms ipqos
		kbdinteractivedevices loglevel logverbose obscurekeystroketiming permitremoteopen remotecommand requesttty
		securitykeyprovider sessiontype stdinnull streamlocalbindmask streamlocalbindunlink syslogfacility tcpkeepalive
		tunneldevice updatehostkeys versionaddendum visualhostkey warnweakcrypto xauthlocation`,
	useOld: `afstokenpassing cipher compressionlevel fallbacktorsh globalknownhostsfile2 kerberosauthentication
		kerberostgtpassing protocol rhostsauthentication rhostsrsaauthentication rsaauthentication userknownhostsfile2
		useprivilegedport useroaming usersh useblacklistedkeys`,
})

// keywordAliases are older names of keywords, which ssh still takes.
var keywordAliases = map[string]string{
	"challengeresponseauthentication": "kbdinteractiveauthentication",
	"dsaauthentication":               "pubkeyauthentication",
	"hostbasedkeytypes":               "hostbasedacceptedalgorithms",
	"identityfile2":                   "identityfile",
	"keepalive":                       "tcpkeepalive",
	"pubkeyacceptedkeytypes":          "pubkeyacceptedalgorithms",
	"skeyauthentication":              "kbdinteractiveauthentication",
	"smartcarddevice":                 "pkcs11provider",
	"tisauthentication":               "kbdinteractiveauthentication",
}

// ownDefaults are keywords of which `ssh -G` prints its own defaults: lists of algorithms, and
// whether a person is asked. Those are for another program; see reader.settle.
var ownDefaults = []string{"kexalgorithms", "ciphers", "macs", "hostkeyalgorithms",
	"casignaturealgorithms", "pubkeyacceptedalgorithms", "stricthostkeychecking"}

// lineKeywords have the rest of their line as their value, quotes, # and all.
var lineKeywords = []string{"proxycommand", "knownhostscommand", "localcommand", "remotecommand"}

// gatheredKeywords add up over the lines that set them; of all others the first counts.
var gatheredKeywords = []string{"identityfile", "certificatefile", "sendenv"}

func keywordTable(words map[keywordUse]string) map[string]keywordUse {
	table := map[string]keywordUse{}
	for use, names := range words {
		for name := range strings.FieldsSeq(names) {
			table[name] = use
		}
	}
	return table
}

// canonicalKeyword is the name in keywords of a keyword in lower case.
func canonicalKeyword(keyword string) string {
	if name, ok := keywordAliases[keyword]; ok {
		return name
	}
	return keyword
}

// read reports whether the values of a keyword are kept.
func (u keywordUse) read() bool { return slices.Contains([]keywordUse{useAsked, usePlain, useHint}, u) }
