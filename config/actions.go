package config

// Actions returns every action that the configuration can take.
func (c *Config) Actions() []Action {
	return []Action{
		c.OnBadSignature, c.OnNoSignature, c.OnDNSError, c.OnKeyNotFound, c.OnInternalError,
		c.OnSecurity, c.OnSignatureError, c.OnBadFrom, c.OnNoAlignedPass,
	}
}
