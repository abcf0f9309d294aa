package ssh

import (
	"context"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// agentRequest and agentChannel are the names of OpenSSH's PROTOCOL.agent.
	agentRequest = "auth-agent-req@openssh.com"
	agentChannel = "auth-agent@openssh.com"
	// maxAgentUsers bounds the channels to the agent that a server may hold at once.
	maxAgentUsers = 16
	// agentDialTimeout bounds the connection to the agent, whose queue may be full.
	agentDialTimeout = 10 * time.Second
)

// prepare sends the requests that come before the command: for variables, which a server may
// ignore, and for the forwarding of the agent, which it has to answer.
func (c *carrier) prepare(set *settings) error {
	for _, entry := range set.environ {
		name, value, _ := strings.Cut(entry, "=")
		request := ssh.Marshal(&struct{ Name, Value string }{name, value})
		if _, err := c.channel.SendRequest("env", false, request); err != nil {
			return sessionError(c.client, "a variable", err)
		}
	}
	if set.forwardAgent == "" {
		return nil
	}
	c.client.agentAsked.Store(true)
	accepted, err := c.channel.SendRequest(agentRequest, true, nil)
	switch {
	case err != nil:
		return sessionError(c.client, "to forward the agent", err)
	case !accepted && c.dial.env.Log != nil:
		c.dial.env.Log.Warn("the ssh server refused to forward the agent", "hop", c.dial.label)
	}
	return nil
}

// acceptAgent connects a channel that the server opened with the agent. It returns false if
// the channel has to be refused. The two goroutines of a channel end with the channel or the
// connection.
func (c *client) acceptAgent(offered ssh.NewChannel) bool {
	if !c.agentAsked.Load() {
		return false
	}
	if c.agentUsers.Add(1) > maxAgentUsers {
		c.agentUsers.Add(-1)
		return false
	}
	c.served.Go(func() {
		defer c.agentUsers.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), agentDialTimeout)
		defer cancel()
		agent, err := new(net.Dialer).DialContext(ctx, "unix", c.set.forwardAgent)
		if err != nil {
			offered.Reject(ssh.ConnectionFailed, "the agent can't be reached")
			return
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			agent.Close()
			return
		}
		c.served.Go(func() { ssh.DiscardRequests(requests) })
		c.served.Go(func() {
			io.Copy(channel, agent)
			channel.Close()
			agent.Close()
		})
		io.Copy(agent, channel)
		// An agent answers each request before it reads the next, so the end of
		// the requests is the end of the answers.
		agent.Close()
		channel.Close()
	})
	return true
}
