package postfix

import (
	"context"
	"strings"
)

// readServices reads master.cf.
func (c *Config) readServices(ctx context.Context) error {
	columns, err := c.ask(ctx, "-F")
	if err != nil {
		return err
	}
	overrides, err := c.ask(ctx, "-P")
	if err != nil {
		return err
	}
	expanded, err := c.ask(ctx, "-P", "-x")
	if err != nil {
		return err
	}
	old := c.Value("compatibility_level") == "0"
	c.Services, err = parseServices(columns, overrides, expanded, old)
	return err
}

// parseServices puts the output of postconf -F, -P and -Px together. old says that "-"
// in the column chroot means yes, as before compatibility level 1.
func parseServices(columns, overrides, expanded string, old bool) ([]Service, error) {
	list, err := parseParameters(columns)
	if err != nil {
		return nil, err
	}
	var services []Service
	at := map[string]int{}
	entry := func(p parameter) (s *Service, field string) {
		service, field := cutLast(p.name)
		i, ok := at[service]
		if !ok {
			i = len(services)
			at[service] = i
			name, kind := cutLast(service)
			services = append(services, Service{Name: name, Type: kind, written: map[string]string{}, expanded: map[string]string{}})
		}
		return &services[i], field
	}
	for _, p := range list {
		switch s, field := entry(p); field {
		case "chroot":
			s.Chroot = p.value == "y" || p.value == "-" && old
		case "command":
			s.Program, _, _ = strings.Cut(p.value, " ")
		}
	}
	for _, o := range []struct {
		output  string
		written bool
	}{{overrides, true}, {expanded, false}} {
		if list, err = parseParameters(o.output); err != nil {
			return nil, err
		}
		for _, p := range list {
			s, name := entry(p)
			if o.written {
				s.written[name] = p.value
			} else {
				s.expanded[name] = p.value
			}
		}
	}
	return services, nil
}

// cutLast divides s at its last slash.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// String is the service as postconf(1) names it: "smtp/inet".
func (s *Service) String() string { return s.Name + "/" + s.Type }

// Override is what an option -o of the service says of a parameter, with $names
// replaced. It is false where master.cf says nothing.
func (s *Service) Override(name string) (value string, ok bool) {
	value, ok = s.expanded[name]
	return value, ok
}

// Of is a parameter's value for a service: master.cf's, else main.cf's.
func (c *Config) Of(s *Service, name string) string {
	if value, ok := s.Override(name); ok {
		return value
	}
	return c.Value(name)
}
