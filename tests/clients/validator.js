// node validator.js <openapi.json>: an app behind express-openapi-validator, which lets through (204) what fits the contract.

import express from 'express'
import { middleware } from 'express-openapi-validator'

const app = express()
app.set('query parser', 'extended')
app.use(express.json({ type: ['application/json', 'application/vnd.api+json'] }))
app.use(middleware({ apiSpec: process.argv[2] }))
app.use((request, response) => response.status(204).end())
app.use((error, request, response, next) => response.status(error.status ?? 500).json({ message: error.message }))
const server = app.listen(0, '127.0.0.1', () => console.log(`answers at http://127.0.0.1:${server.address().port}`))
