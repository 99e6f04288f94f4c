package container

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/postseal/postseal/milter/load"
)

// Filter takes a message through the milter at a socket, in Postfix's notation, and
// returns it as it leaves. The error is that it does not leave.
func Filter(socket string, m load.Message) (message []byte, err error) {
	m.Judge = func(a load.Answer) error {
		message, err = Apply(m, a)
		return err
	}
	r, err := load.Run(context.Background(), load.Options{Socket: socket, Messages: 1, Message: []load.Message{m}, Timeout: patience})
	if err == nil {
		err = r.FirstError
	}
	return message, err
}

// Apply is a message with the fields that a filter inserts on top of it. The error
// is that the filter does not accept it.
func Apply(m load.Message, a load.Answer) ([]byte, error) {
	if a.Code != 'a' && a.Code != 'c' {
		return nil, fmt.Errorf("%v", a)
	}
	fields := slices.Clone(m.Fields)
	for _, c := range a.Changes {
		if c.Code != 'i' || c.Index > 1 {
			return nil, fmt.Errorf("change %q of %s at %d: only fields on top are expected", c.Code, c.Name, c.Index)
		}
		value := bytes.ReplaceAll([]byte(c.Value), []byte("\n"), []byte("\r\n"))
		fields = slices.Insert(fields, 0, load.Field{Name: c.Name, Value: string(value)})
	}
	var message bytes.Buffer
	for _, f := range fields {
		fmt.Fprintf(&message, "%s:%s\r\n", f.Name, f.Value)
	}
	message.WriteString("\r\n")
	message.Write(m.Body)
	return message.Bytes(), nil
}

// Verify has another implementation verify all signatures of a message against
// records by name, and returns their domains. The error is that there is none, or
// why one fails.
func Verify(message []byte, records map[string]string) (domains []string, err error) {
	found, err := dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return []string{records[name]}, nil },
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("the message is not signed:\n%s", message)
	}
	for _, v := range found {
		if v.Err != nil {
			return nil, fmt.Errorf("%w:\n%s", v.Err, message)
		}
		domains = append(domains, v.Domain)
	}
	return domains, err
}
